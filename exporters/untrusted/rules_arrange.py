"""Output shapes of operators that move, copy or choose elements and calculate nothing."""

from __future__ import annotations

import math
from collections.abc import Callable

from onnx import TensorProto

from exporters.untrusted.node_view import NodeView, Shape, axes, broadcast
from exporters.untrusted.tensors import RUNNABLE

_LARGEST = 2**40
"""Sizes beyond are those of no tensor; smaller ones are counted by the graph's limits."""


def _same(node: NodeView) -> Shape:
    return node.shape(0)


def _flatten(node: NodeView) -> Shape:
    shape = node.shape(0)
    axis = node.number("axis", 1)
    axis = axis if axis == len(shape) else node.axis(axis, len(shape))
    return math.prod(shape[:axis]), math.prod(shape[axis:])


def _reshape(node: NodeView) -> Shape:
    shape = node.shape(0)
    node.shape(1, 1)
    target = list(node.constants.get(1, ()))
    # A target without entries makes a scalar.
    if 1 not in node.constants or len(target) > 8 or min(target, default=0) < -1 or target.count(-1) > 1:
        raise node.refuse("the new shape is no constant of positive sizes with one −1 at most")
    if node.number("allowzero", 0) and 0 in target:
        raise node.refuse("the new shape holds a zero that is meant")
    for index, size in enumerate(target):
        if size == 0:
            if index >= len(shape):
                raise node.refuse("it copies a dimension that the input does not have")
            target[index] = shape[index]
    count, rest = math.prod(shape), math.prod(size for size in target if size != -1)
    if -1 in target:
        if rest == 0 or count % rest:
            raise node.refuse(f"{shape} does not become {target}")
        target[target.index(-1)] = count // rest
    if math.prod(target) != count:
        raise node.refuse(f"{shape} does not become {target}")
    return tuple(target)


def _transpose(node: NodeView) -> Shape:
    shape = node.shape(0)
    order = list(node.attributes["perm"].ints) if "perm" in node.attributes else list(range(len(shape)))[::-1]
    if sorted(order) != list(range(len(shape))):
        raise node.refuse("perm is no permutation of the dimensions")
    return tuple(shape[axis] for axis in order)


def _concat(node: NodeView) -> Shape:
    shapes = [node.shape(index) for index in range(len(node.shapes))]
    if not shapes or "axis" not in node.attributes:
        raise node.refuse("it has no inputs or no axis")
    axis = node.axis(node.number("axis", 0), len(shapes[0]))
    if len({(len(shape), *shape[:axis], *shape[axis + 1 :]) for shape in shapes}) != 1:
        raise node.refuse("the inputs differ in more than the axis")
    return (*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :])


def _split(node: NodeView) -> list[Shape]:
    source = node.shape(0)
    axis = node.axis(node.number("axis", 0), len(source))
    if "split" in node.attributes:
        sizes = list(node.attributes["split"].ints)
    elif len(node.shapes) > 1 and node.shapes[1] is not None:
        sizes = list(node.known(1, "sizes"))
    else:
        if node.number("num_outputs", node.outputs) != node.outputs:
            raise node.refuse("num_outputs is not the number of its outputs")
        each = -(-source[axis] // node.outputs)
        sizes = [min(each, max(0, source[axis] - index * each)) for index in range(node.outputs)]
    if len(sizes) != node.outputs or min(sizes) < 0 or sum(sizes) != source[axis]:
        raise node.refuse(f"the parts {sizes[:8]} are not {source[axis]} together")
    return [(*source[:axis], size, *source[axis + 1 :]) for size in sizes]


def _slice(node: NodeView) -> Shape:
    source = node.shape(0)
    if "starts" in node.attributes and "ends" in node.attributes:
        starts, ends = node.attributes["starts"].ints, node.attributes["ends"].ints
        steps = [1] * len(starts)
        chosen = axes(node, len(source), 3) or list(range(len(starts)))
    else:
        starts, ends = node.known(1, "starts"), node.known(2, "ends")
        chosen = axes(node, len(source), 3) or list(range(len(starts)))
        given = len(node.shapes) > 4 and node.shapes[4] is not None
        steps = list(node.known(4, "steps")) if given else [1] * len(starts)
    if not len(starts) == len(ends) == len(chosen) == len(steps) or 0 in steps or len(starts) > len(source):
        raise node.refuse("starts, ends, axes and steps are not as many, or a step is 0")
    out = list(source)
    for axis, start, end, step in zip(chosen, starts, ends, steps, strict=True):
        out[axis] = len(range(*slice(start, end, step).indices(source[axis])))
    return tuple(out)


def _expand(node: NodeView) -> Shape:
    source, target = node.shape(0), tuple(node.known(1, "sizes"))
    if len(target) > 8 or any(not 0 <= size < _LARGEST for size in target):
        raise node.refuse("its sizes are no sizes")
    return broadcast(node, source, target)


def _tile(node: NodeView) -> Shape:
    source, repeats = node.shape(0), node.known(1, "repeats")
    if len(repeats) != len(source) or any(not 0 <= times < _LARGEST for times in repeats):
        raise node.refuse("its repeats are not one number a dimension")
    return tuple(size * times for size, times in zip(source, repeats, strict=True))


def _constant_of_shape(node: NodeView) -> Shape:
    sizes = tuple(node.known(0, "sizes"))
    if len(sizes) > 8 or any(not 0 <= size < _LARGEST for size in sizes):
        raise node.refuse("its sizes are no sizes")
    return sizes


def _range(node: NodeView) -> Shape:
    entries = [node.known(index, "bounds") for index in range(3)]
    if any(len(entry) != 1 for entry in entries) or entries[2][0] == 0:
        raise node.refuse("its bounds are not one number each, or its step is 0")
    (start,), (end,), (step,) = entries
    return (max(0, -(-(end - start) // step)),)


def _shape(node: NodeView) -> Shape:
    start, end = shape_range(node)
    return (end - start,)


def shape_range(node: NodeView) -> tuple[int, int]:
    """The first dimension that a Shape node hands out, and the one after the last."""
    rank = len(node.shape(0))
    start, end = (
        min(max(value + rank if value < 0 else value, 0), rank)
        for value in (node.number("start", 0), node.number("end", rank))
    )
    return start, max(start, end)


def _size(node: NodeView) -> Shape:
    node.shape(0)
    return ()


def _cast(node: NodeView) -> Shape:
    if node.number("to", TensorProto.FLOAT) not in RUNNABLE:
        raise node.refuse("it casts to a type that is not run here")
    return node.shape(0)


def _gather(node: NodeView) -> Shape:
    source, indices = node.shape(0), node.shape(1)
    axis = node.axis(node.number("axis", 0), len(source))
    for index in node.constants.get(1, ()):
        node.axis(index, source[axis])
    return (*source[:axis], *indices, *source[axis + 1 :])


def _gather_elements(node: NodeView) -> Shape:
    source, indices = node.shape(0), node.shape(1)
    axis = node.axis(node.number("axis", 0), len(source))
    if len(indices) != len(source) or any(
        a > b for index, (a, b) in enumerate(zip(indices, source, strict=True)) if index != axis
    ):
        raise node.refuse(f"input {source} and indices {indices} do not fit")
    return indices


def _gather_nd(node: NodeView) -> Shape:
    source, indices = node.shape(0), node.shape(1)
    batch = node.number("batch_dims", 0)
    if not indices or not 0 <= batch < min(len(source), len(indices)) or source[:batch] != indices[:batch]:
        raise node.refuse(f"input {source} and indices {indices} do not fit")
    if not 1 <= indices[-1] <= len(source) - batch:
        raise node.refuse("an index has more entries than there are dimensions")
    return (*indices[:-1], *source[batch + indices[-1] :])


def _scatter(node: NodeView) -> Shape:
    source, indices, updates = node.shape(0), node.shape(1), node.shape(2)
    axis = node.axis(node.number("axis", 0), len(source))
    fits = len(indices) == len(source) and all(
        a <= b for index, (a, b) in enumerate(zip(indices, source, strict=True)) if index != axis
    )
    if indices != updates or not fits:
        raise node.refuse(f"input {source}, indices {indices} and updates {updates} do not fit")
    return source


def _scatter_nd(node: NodeView) -> Shape:
    source, indices, updates = node.shape(0), node.shape(1), node.shape(2)
    if not indices or not 1 <= indices[-1] <= len(source) or updates != (*indices[:-1], *source[indices[-1] :]):
        raise node.refuse(f"input {source}, indices {indices} and updates {updates} do not fit")
    return source


def _squeeze(node: NodeView) -> Shape:
    shape = node.shape(0)
    found = axes(node, len(shape)) or [axis for axis, size in enumerate(shape) if size == 1]
    if any(shape[axis] != 1 for axis in found):
        raise node.refuse("a dimension that goes is not 1")
    return tuple(size for axis, size in enumerate(shape) if axis not in found)


def _unsqueeze(node: NodeView) -> Shape:
    shape = node.shape(0)
    count = len(node.attributes["axes"].ints) if "axes" in node.attributes else len(node.constants.get(1, ()))
    if not 1 <= count <= 8:
        raise node.refuse("its axes are no constants")
    rank = len(shape) + count
    found, sizes = axes(node, rank), iter(shape)
    return tuple(1 if axis in found else next(sizes) for axis in range(rank))


def _where(node: NodeView) -> Shape:
    return broadcast(node, broadcast(node, node.shape(0), node.shape(1)), node.shape(2))


def _top_k(node: NodeView) -> list[Shape]:
    source = node.shape(0)
    axis = node.axis(node.number("axis", -1), len(source))
    chosen = [node.number("k", 0)] if "k" in node.attributes else list(node.known(1, "number of elements"))
    if len(chosen) != 1 or not 0 <= chosen[0] <= source[axis]:
        raise node.refuse("it takes more elements than there are")
    return [(*source[:axis], chosen[0], *source[axis + 1 :])] * 2


ARRANGE: dict[str, Callable[[NodeView], Shape | list[Shape]]] = {
    "Cast": _cast,
    "CastLike": _same,
    "Concat": _concat,
    "ConstantOfShape": _constant_of_shape,
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "Identity": _same,
    "Range": _range,
    "Reshape": _reshape,
    "Scatter": _scatter,
    "ScatterElements": _scatter,
    "ScatterND": _scatter_nd,
    "Shape": _shape,
    "Size": _size,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "TopK": _top_k,
    "Transpose": _transpose,
    "Trilu": _same,
    "Unsqueeze": _unsqueeze,
    "Where": _where,
}
