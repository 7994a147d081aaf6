"""Operators that reduce, sort or accumulate along axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from exporters.interpreter.dtypes import NotComputed

Tensor = torch.Tensor


def _over(function: Callable[[Tensor, tuple[int, ...], bool], Tensor]) -> Callable[..., Tensor]:
    """A reduction over ``axes``, an input; over all axes, or none, where there are none."""

    def reduced(x: Tensor, axes: Tensor | None = None, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Tensor:
        found = () if axes is None else tuple(int(axis) % x.ndim for axis in axes.reshape(-1).tolist())
        if not found and noop_with_empty_axes:
            raise NotComputed("a reduction over no axes")
        if not x.numel():
            raise NotComputed("a reduction of nothing")
        return function(x, found or tuple(range(x.ndim)), bool(keepdims))

    return reduced


def _prod(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    for axis in sorted(axes, reverse=True):
        x = x.prod(axis, keepdim=keep)
    return x


def _extreme(select: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def found(x: Tensor, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Tensor:
        if select_last_index:
            return x.shape[axis] - 1 - select(x.flip(axis), axis, keepdim=bool(keepdims))
        return select(x, axis, keepdim=bool(keepdims))

    return found


def cumulative_sum(x: Tensor, axis: Tensor, exclusive: int = 0, reverse: int = 0) -> Tensor:
    """Sums along an axis up to each entry."""
    along = int(axis)
    x = x.flip(along) if reverse else x
    total = x.cumsum(along).to(x.dtype)
    total = total - x if exclusive else total
    return total.flip(along) if reverse else total


def top_k(x: Tensor, k: Tensor, axis: int = -1, largest: int = 1, sorted: int = 1) -> tuple[Tensor, Tensor]:  # noqa: A002 (ONNX's name)
    """The k largest or smallest entries along an axis, and where they are; of equal ones the first."""
    del sorted  # in order is in any order too
    values, places = x.sort(dim=axis, descending=bool(largest), stable=True)
    count = int(k)
    return values.narrow(axis, 0, count), places.narrow(axis, 0, count)


OPS: dict[str, Callable[..., Any]] = {
    "ArgMax": _extreme(torch.argmax),
    "ArgMin": _extreme(torch.argmin),
    "CumSum": cumulative_sum,
    "LogSoftmax": lambda x, axis=-1: torch.log_softmax(x, axis),
    "ReduceL1": _over(lambda x, axes, keep: x.abs().sum(axes, keepdim=keep)),
    "ReduceL2": _over(lambda x, axes, keep: x.square().sum(axes, keepdim=keep).sqrt()),
    "ReduceLogSum": _over(lambda x, axes, keep: x.sum(axes, keepdim=keep).log()),
    "ReduceLogSumExp": _over(lambda x, axes, keep: x.logsumexp(axes, keepdim=keep)),
    "ReduceMax": _over(lambda x, axes, keep: x.amax(axes, keepdim=keep)),
    "ReduceMean": _over(lambda x, axes, keep: x.mean(axes, keepdim=keep)),
    "ReduceMin": _over(lambda x, axes, keep: x.amin(axes, keepdim=keep)),
    "ReduceProd": _over(_prod),
    "ReduceSum": _over(lambda x, axes, keep: x.sum(axes, keepdim=keep).to(x.dtype)),
    "ReduceSumSquare": _over(lambda x, axes, keep: x.square().sum(axes, keepdim=keep).to(x.dtype)),
    "Softmax": lambda x, axis=-1: torch.softmax(x, axis),
    "TopK": top_k,
}
