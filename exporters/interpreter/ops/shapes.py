"""Operators that arrange, cut, repeat and look up, and those that compute shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from torch.nn import functional

from exporters.interpreter.dtypes import NotComputed

Tensor = torch.Tensor


def integers(tensor: Tensor) -> list[int]:
    """A tensor's entries as whole numbers."""
    return [int(entry) for entry in tensor.reshape(-1).tolist()]


def reshape(x: Tensor, shape: Tensor, allowzero: int = 0) -> Tensor:
    """The tensor in another shape, in which 0 stands for x's own size there and −1 for what is left."""
    sizes = integers(shape)
    if not allowzero:
        sizes = [x.shape[place] if size == 0 else size for place, size in enumerate(sizes)]
    return x.reshape(sizes)


def flatten(x: Tensor, axis: int = 1) -> Tensor:
    """A matrix, with the axes before ``axis`` as its rows."""
    axis = axis + x.ndim if axis < 0 else axis
    rows = int(np.prod(x.shape[:axis], dtype=np.int64))
    return x.reshape(rows, -1) if x.numel() else x.reshape(rows, int(np.prod(x.shape[axis:], dtype=np.int64)))


def transpose(x: Tensor, perm: list[int] | None = None) -> Tensor:
    """The tensor with its axes in another order, reversed where none is given."""
    return x.permute(perm if perm is not None else list(range(x.ndim))[::-1])


def squeeze(x: Tensor, axes: Tensor | None = None) -> Tensor:
    """The tensor without axes of size 1."""
    if axes is None:
        return x.squeeze()
    return x.squeeze(tuple(integers(axes)))


def unsqueeze(x: Tensor, axes: Tensor) -> Tensor:
    """The tensor with more axes of size 1."""
    places = integers(axes)
    rank = x.ndim + len(places)
    for place in sorted(place % rank for place in places):
        x = x.unsqueeze(place)
    return x


def concat(*inputs: Tensor, axis: int) -> Tensor:
    """Tensors one behind another along an axis."""
    return torch.cat(inputs, axis)


def split(x: Tensor, sizes: Tensor | None = None, axis: int = 0, num_outputs: int | None = None) -> tuple[Tensor, ...]:
    """Parts of x along an axis, of these sizes or alike, the last one smaller where it does not divide."""
    if sizes is not None:
        return tuple(torch.split(x, integers(sizes), axis))
    if num_outputs is None:
        raise NotComputed("a split that does not say into how many parts")
    return tuple(torch.split(x, -(-x.shape[axis] // num_outputs), axis))


def cut(x: Tensor, starts: Tensor, ends: Tensor, axes: Tensor | None = None, steps: Tensor | None = None) -> Tensor:
    """Slices of x along axes."""
    first, last = integers(starts), integers(ends)
    places = list(range(len(first))) if axes is None else integers(axes)
    strides = [1] * len(first) if steps is None else integers(steps)
    for start, end, axis, step in zip(first, last, places, strides, strict=True):
        chosen = range(x.shape[axis])[slice(start, _end(end, x.shape[axis], step), step)]
        if step == 1:
            x = x.narrow(axis, chosen.start if len(chosen) else 0, len(chosen))
        else:
            x = x.index_select(axis, torch.tensor(list(chosen), dtype=torch.int64, device=x.device))
    return x


def _end(end: int, size: int, step: int) -> int | None:
    """End of a Python slice: ONNX's numbers before the beginning mean the beginning, included."""
    return None if step < 0 and end < -size else end


def gather(x: Tensor, indices: Tensor, axis: int = 0) -> Tensor:
    """Entries of x along an axis, in the shape of the indices."""
    axis = axis % max(1, x.ndim)
    chosen = indices.to(torch.int64)
    chosen = torch.where(chosen < 0, chosen + x.shape[axis], chosen)
    found = x.index_select(axis, chosen.reshape(-1).to(x.device))
    return found.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


def gather_elements(x: Tensor, indices: Tensor, axis: int = 0) -> Tensor:
    """Entries of x along an axis, one an index."""
    chosen = torch.where(indices < 0, indices + x.shape[axis], indices).to(torch.int64)
    return torch.gather(x, axis, chosen)


def gather_nd(x: Tensor, indices: Tensor, batch_dims: int = 0) -> Tensor:
    """Parts of x at tuples of indices."""
    if batch_dims:
        raise NotComputed("GatherND of several batch dimensions")
    return x[tuple(indices.to(torch.int64).unbind(-1))]


def scatter_nd(x: Tensor, indices: Tensor, updates: Tensor, reduction: str = "none") -> Tensor:
    """The tensor with parts at tuples of indices replaced."""
    if reduction != "none":
        raise NotComputed(f"ScatterND that reduces by {reduction}")
    return x.index_put(tuple(indices.to(torch.int64).unbind(-1)), updates)


def expand(x: Tensor, shape: Tensor) -> Tensor:
    """The tensor repeated along its axes of size 1 to what broadcasts with a shape."""
    return x.expand(np.broadcast_shapes(tuple(x.shape), tuple(integers(shape))))


def tile(x: Tensor, repeats: Tensor) -> Tensor:
    """The tensor several times along each axis."""
    return x.repeat(integers(repeats))


def pad(
    x: Tensor, pads: Tensor, value: Tensor | None = None, axes: Tensor | None = None, mode: str = "constant"
) -> Tensor:
    """The tensor with more on its sides: a value, or its own entries mirrored, repeated or wrapped."""
    amounts = integers(pads)
    places = [place % x.ndim for place in (range(x.ndim) if axes is None else integers(axes))]
    half = len(amounts) // 2
    sides = {place: (amounts[i], amounts[i + half]) for i, place in enumerate(places)}
    around = [sides.get(place, (0, 0)) for place in range(x.ndim)]
    if mode == "constant":
        flat = [side for pair in reversed(around) for side in pair]
        fill = 0 if value is None else value.item()
        return functional.pad(x, flat, value=fill)
    for place, (before, after) in enumerate(around):
        if before < 0 or after < 0:
            x = x.narrow(place, max(0, -before), x.shape[place] - max(0, -before) - max(0, -after))
        kept = x.shape[place]
        index = np.pad(np.arange(kept), (max(0, before), max(0, after)), cast("Any", mode))
        if max(before, after) > 0:
            x = x.index_select(place, torch.from_numpy(index).to(x.device))
    return x


def constant_of_shape(shape: Tensor, value: Tensor | None = None) -> Tensor:
    """A tensor of one number."""
    fill = torch.zeros(1) if value is None else value
    return fill.reshape(-1)[:1].expand(int(np.prod(integers(shape), dtype=np.int64))).reshape(integers(shape)).clone()


def shape_of(x: Tensor, start: int = 0, end: int | None = None) -> Tensor:
    """Sizes of x."""
    return torch.tensor(list(x.shape)[start:end], dtype=torch.int64)


def depth_to_space(x: Tensor, blocksize: int, mode: str = "DCR") -> Tensor:
    """Channels laid out as blocks of pixels."""
    n, c, h, w = x.shape
    b = blocksize
    if mode == "DCR":
        parts = x.reshape(n, b, b, c // b**2, h, w).permute(0, 3, 4, 1, 5, 2)
    else:
        parts = x.reshape(n, c // b**2, b, b, h, w).permute(0, 1, 4, 2, 5, 3)
    return parts.reshape(n, c // b**2, h * b, w * b)


def space_to_depth(x: Tensor, blocksize: int, mode: str = "DCR") -> Tensor:
    """Blocks of pixels laid out as channels."""
    n, c, h, w = x.shape
    b = blocksize
    parts = x.reshape(n, c, h // b, b, w // b, b)
    parts = parts.permute(0, 3, 5, 1, 2, 4) if mode == "DCR" else parts.permute(0, 1, 3, 5, 2, 4)
    return parts.reshape(n, c * b * b, h // b, w // b)


def one_hot(indices: Tensor, depth: Tensor, values: Tensor, axis: int = -1) -> Tensor:
    """For each index a vector that holds one value there and the other elsewhere."""
    size = int(depth.reshape(-1)[0])
    chosen = indices.to(torch.int64)
    chosen = torch.where(chosen < 0, chosen + size, chosen).unsqueeze(axis)
    rank = chosen.ndim
    numbers = torch.arange(size, device=chosen.device).reshape([size if d == axis % rank else 1 for d in range(rank)])
    return torch.where(chosen == numbers, values[1], values[0])


def trilu(x: Tensor, k: Tensor | None = None, upper: int = 1) -> Tensor:
    """Upper or lower triangle, zeros elsewhere."""
    return (torch.triu if upper else torch.tril)(x, 0 if k is None else int(k))


def arange(start: Tensor, limit: Tensor, delta: Tensor) -> Tensor:
    """Numbers from a start to before a limit."""
    return torch.arange(start.item(), limit.item(), delta.item(), dtype=start.dtype)


def constant(value: Tensor | None = None, **others: Any) -> Tensor:
    """The tensor of a Constant node."""
    if value is not None:
        return value
    ((name, given),) = others.items()
    if name in ("value_int", "value_ints"):
        return torch.tensor(given, dtype=torch.int64)
    if name in ("value_float", "value_floats"):
        return torch.tensor(given, dtype=torch.float32)
    raise NotComputed(f"a constant given as {name}")


OPS: dict[str, Callable[..., Any]] = {
    "Concat": concat,
    "Constant": constant,
    "ConstantOfShape": constant_of_shape,
    "DepthToSpace": depth_to_space,
    "Expand": expand,
    "Flatten": flatten,
    "Gather": gather,
    "GatherElements": gather_elements,
    "GatherND": gather_nd,
    "NonZero": lambda x: x.nonzero().T.contiguous(),
    "OneHot": one_hot,
    "Pad": pad,
    "Range": arange,
    "Reshape": reshape,
    "ScatterND": scatter_nd,
    "Shape": shape_of,
    "Size": lambda x: torch.tensor(x.numel(), dtype=torch.int64),
    "Slice": cut,
    "SpaceToDepth": space_to_depth,
    "Split": split,
    "Squeeze": squeeze,
    "Tile": tile,
    "Transpose": transpose,
    "Trilu": trilu,
    "Unsqueeze": unsqueeze,
}
