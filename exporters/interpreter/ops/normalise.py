"""Normalisations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from exporters.interpreter.dtypes import NotComputed

Tensor = torch.Tensor


def batch_norm(
    x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, epsilon: float = 1e-5, **_: Any
) -> Tensor:
    """Batch norm by given statistics."""
    return functional.batch_norm(x, mean, variance, scale, bias, False, 0.0, epsilon)


def instance_norm(x: Tensor, scale: Tensor, bias: Tensor, epsilon: float = 1e-5) -> Tensor:
    """Each channel of each sample by its own statistics."""
    return functional.instance_norm(x, weight=scale, bias=bias, eps=epsilon)


def layer_norm(
    x: Tensor, scale: Tensor, bias: Tensor | None = None, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> Tensor:
    """The last axes by their own statistics."""
    del stash_type
    over = tuple(x.shape[axis % x.ndim :])
    normal = functional.layer_norm(x, over, eps=epsilon) * scale
    return normal if bias is None else normal + bias


def rms_norm(x: Tensor, scale: Tensor, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1) -> Tensor:
    """The last axes by the root of their mean square."""
    del stash_type
    axes = tuple(range(axis % x.ndim, x.ndim))
    return x * torch.rsqrt(x.square().mean(axes, keepdim=True) + epsilon) * scale


def group_norm(x: Tensor, scale: Tensor, bias: Tensor, num_groups: int, epsilon: float = 1e-5, **_: Any) -> Tensor:
    """Groups of channels by their own statistics, with a scale a channel, or a group as ONNX had it before 21."""
    channels = x.shape[1]
    if scale.numel() == num_groups != channels:
        scale, bias = (each.repeat_interleave(channels // num_groups) for each in (scale, bias))
    return functional.group_norm(x, num_groups, scale, bias, epsilon)


def local_response(x: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0) -> Tensor:
    """Each number by the squares of its neighbours in other channels."""
    before, after = (size - 1) // 2, size - 1 - (size - 1) // 2
    around = [0, 0] * (x.ndim - 2) + [before, after]
    squares = functional.pad(x.square(), around).unfold(1, size, 1).sum(-1)
    return x / (bias + alpha / size * squares).pow(beta)


def lp_norm(x: Tensor, axis: int = -1, p: int = 2) -> Tensor:
    """An axis divided by its norm."""
    norm = torch.linalg.vector_norm(x, p, axis, keepdim=True)
    return x / torch.where(norm == 0, torch.ones_like(norm), norm)


def mean_variance(x: Tensor, axes: list[int] | None = None) -> Tensor:
    """Axes by their mean and standard deviation."""
    over = tuple(axes or (0, 2, 3))
    if 0 in {axis % x.ndim for axis in over}:
        raise NotComputed("statistics over the batch")
    centred = x - x.mean(over, keepdim=True)
    return centred / (centred.square().mean(over, keepdim=True) + 1e-9).sqrt()


OPS: dict[str, Callable[..., Any]] = {
    "BatchNormalization": batch_norm,
    "GroupNormalization": group_norm,
    "InstanceNormalization": instance_norm,
    "LRN": local_response,
    "LayerNormalization": layer_norm,
    "LpNormalization": lp_norm,
    "MeanVarianceNormalization": mean_variance,
    "RMSNormalization": rms_norm,
}
