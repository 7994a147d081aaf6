"""Pooling over windows and whole images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from exporters.interpreter.dtypes import NotComputed
from exporters.interpreter.ops.layers import same_pads

Tensor = torch.Tensor
_MAXIMUM = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
_AVERAGE = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}


def max_pool(
    x: Tensor,
    *,
    kernel_shape: list[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: list[int] | None = None,
    pads: list[int] | None = None,
    storage_order: int = 0,
    strides: list[int] | None = None,
) -> Tensor:
    """Largest number of each window."""
    del storage_order
    axes = len(kernel_shape)
    strides, dilations = strides or [1] * axes, dilations or [1] * axes
    if set(dilations) != {1} and auto_pad.startswith("SAME"):
        raise NotComputed("dilated windows that pad themselves")
    _, whole = _around(x, kernel_shape, auto_pad, ceil_mode, dilations, pads, strides)
    x = functional.pad(x, whole, value=float("-inf")) if any(whole) else x
    return _MAXIMUM[axes](x, kernel_shape, strides, 0, dilations)


def average_pool(
    x: Tensor,
    *,
    kernel_shape: list[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    """Mean of each window, over what lies in the image, or in its padding too."""
    axes = len(kernel_shape)
    strides = strides or [1] * axes
    if dilations is not None and set(dilations) != {1}:
        raise NotComputed("an average over a dilated window")
    declared, whole = _around(x, kernel_shape, auto_pad, ceil_mode, [1] * axes, pads, strides)
    # Windows that reach beyond the padding, because sizes are rounded up, count nothing there.
    counted = functional.pad(torch.ones_like(x[:1, :1]), declared, value=float(count_include_pad))
    counted = functional.pad(counted, [total - part for total, part in zip(whole, declared, strict=True)])
    given = functional.pad(x, whole)
    total = _AVERAGE[axes](given, kernel_shape, strides)
    share = _AVERAGE[axes](counted, kernel_shape, strides)
    return total / share


def _around(
    x: Tensor,
    kernel: list[int],
    auto_pad: str,
    ceil_mode: int,
    dilations: list[int],
    pads: list[int] | None,
    strides: list[int],
) -> tuple[list[int], list[int]]:
    """Pads as they are declared, and with all that windows cover, both in torch's order."""
    axes = len(kernel)
    if axes not in _MAXIMUM or x.ndim != axes + 2 or not x.is_floating_point():
        raise NotComputed(f"pooling over {axes} axes")
    pads = pads or [0] * 2 * axes
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        pads = same_pads(auto_pad, list(x.shape[2:]), kernel, strides, dilations)
    elif auto_pad == "VALID":
        pads = [0] * 2 * axes
    flat, declared = [], []
    for axis in reversed(range(axes)):
        before, after = pads[axis], pads[axis + axes]
        declared += [before, after]
        reach = dilations[axis] * (kernel[axis] - 1) + 1
        span = x.shape[2 + axis] + before + after - reach
        if ceil_mode and span % strides[axis]:
            start = (span // strides[axis] + 1) * strides[axis]
            if start < x.shape[2 + axis] + before:  # a window that begins in the padding behind is left out
                after += start - span
        flat += [before, after]
    return declared, flat


OPS: dict[str, Callable[..., Any]] = {
    "AveragePool": average_pool,
    "GlobalAveragePool": lambda x: x.mean(tuple(range(2, x.ndim)), keepdim=True),
    "GlobalMaxPool": lambda x: x.amax(tuple(range(2, x.ndim)), keepdim=True),
    "MaxPool": max_pool,
}
