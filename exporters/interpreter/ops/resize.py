"""Resizing of images, axis by axis, and sampling at given places."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from exporters.interpreter.dtypes import NotComputed
from exporters.interpreter.ops.shapes import integers

Tensor = torch.Tensor


def resize(
    x: Tensor,
    roi: Tensor | None = None,
    scales: Tensor | None = None,
    sizes: Tensor | None = None,
    *,
    antialias: int = 0,
    axes: list[int] | None = None,
    coordinate_transformation_mode: str = "half_pixel",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: str = "stretch",
    mode: str = "nearest",
    nearest_mode: str = "round_prefer_floor",
) -> Tensor:
    """The tensor at other sizes along its axes: each output is a sum of few inputs along one axis after another."""
    del roi, extrapolation_value
    if antialias or exclude_outside or coordinate_transformation_mode == "tf_crop_and_resize":
        raise NotComputed("resizing that is smoothed or crops")
    if keep_aspect_ratio_policy != "stretch":
        raise NotComputed("resizing that keeps the aspect ratio")
    places = [axis % x.ndim for axis in (range(x.ndim) if axes is None else axes)]
    if sizes is not None and sizes.numel():
        targets = integers(sizes)
        factors = [target / x.shape[axis] for target, axis in zip(targets, places, strict=True)]
    elif scales is not None:
        factors = [float(factor) for factor in scales.tolist()]
        targets = [math.floor(x.shape[axis] * factor) for factor, axis in zip(factors, places, strict=True)]
    else:
        raise NotComputed("resizing to no size")
    for axis, target, factor in zip(places, targets, factors, strict=True):
        if target == x.shape[axis] and factor == 1:
            continue
        size = x.shape[axis]
        where = _coordinates(target, size, factor, coordinate_transformation_mode)
        if mode == "nearest":
            chosen = _nearest(where, nearest_mode).clamp(0, size - 1).to(torch.int64)
            x = x.index_select(axis, chosen.to(x.device))
        else:
            x = _weighted(x, axis, where, mode, cubic_coeff_a)
    return x


def _coordinates(target: int, size: int, factor: float, mode: str) -> Tensor:
    """Places of the outputs among the inputs along one axis."""
    out = torch.arange(target, dtype=torch.float64)
    if mode == "asymmetric":
        return out / factor
    if mode == "align_corners":
        return out * (size - 1) / (target - 1) if target > 1 else out * 0
    if mode == "pytorch_half_pixel" and target == 1:
        return out * 0 - 0.5
    if mode == "half_pixel_symmetric":
        centre = size / 2 * (1 - target / (size * factor))
        return centre + (out + 0.5) / factor - 0.5
    if mode not in ("half_pixel", "pytorch_half_pixel"):
        raise NotComputed(f"resizing by {mode}")
    return (out + 0.5) / factor - 0.5


def _nearest(where: Tensor, mode: str) -> Tensor:
    if mode == "floor":
        return where.floor()
    if mode == "ceil":
        return where.ceil()
    if mode == "round_prefer_ceil":
        return (where + 0.5).floor()
    return (where - 0.5).ceil()


def _weighted(x: Tensor, axis: int, where: Tensor, mode: str, cubic: float) -> Tensor:
    size = x.shape[axis]
    base = where.floor()
    t = where - base
    if mode == "linear":
        offsets, weights = [0, 1], [1 - t, t]
    elif mode == "cubic":
        offsets = [-1, 0, 1, 2]
        weights = [_cubic(t - offset, cubic) for offset in offsets]
    else:
        raise NotComputed(f"resizing by {mode}")
    total: Tensor | None = None
    shape = [-1 if place == axis else 1 for place in range(x.ndim)]
    for offset, weight in zip(offsets, weights, strict=True):
        index = (base + offset).clamp(0, size - 1).to(torch.int64).to(x.device)
        part = x.index_select(axis, index) * weight.to(x.dtype).to(x.device).reshape(shape)
        total = part if total is None else total + part
    assert total is not None  # noqa: S101 (there are two weights at least)
    return total


def _cubic(distance: Tensor, a: float) -> Tensor:
    """Weight of a neighbour (Keys 1981, with the parameter a)."""
    d = distance.abs()
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return torch.where(d <= 1, near, torch.where(d < 2, far, torch.zeros_like(d)))


_MODES = {"linear": "bilinear", "bilinear": "bilinear", "nearest": "nearest"}


def grid_sample(
    x: Tensor, grid: Tensor, align_corners: int = 0, mode: str = "linear", padding_mode: str = "zeros"
) -> Tensor:
    """The tensor at the places of a grid."""
    if mode not in _MODES or x.ndim != 4:
        raise NotComputed(f"sampling by {mode}")
    return functional.grid_sample(x, grid, _MODES[mode], padding_mode, bool(align_corners))


OPS: dict[str, Callable[..., Any]] = {"GridSample": grid_sample, "Resize": resize}
