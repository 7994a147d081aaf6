"""Output shapes of the standard operators that are let in, by rules that trust nothing.

ONNX's own inference is C++ that crashes on some contradictory nodes, and runtimes use the same code; so a node must
pass these rules before either sees it. One rule a kind of operator, one line an operator in RULES.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import onnx

from exporters.untrusted.node_view import NodeView, Shape, window


def _conv(node: NodeView) -> Shape:
    source, weight = node.shape(0, 4), node.shape(1, 4)
    group = node.number("group", 1)
    if group < 1 or source[1] != weight[1] * group or weight[0] % group or not weight[0]:
        raise node.refuse(f"input {source}, weight {weight} and {group} groups do not fit")
    if "kernel_shape" in node.attributes and tuple(node.attributes["kernel_shape"].ints) != weight[2:]:
        raise node.refuse("kernel_shape is not the weight's")
    if len(node.shapes) > 2 and node.shapes[2] is not None and node.shapes[2] != weight[:1]:
        raise node.refuse("the bias has not one entry a channel")
    return (source[0], weight[0], *window(node, source, weight[2:]))


def _pool(node: NodeView) -> Shape:
    source = node.shape(0, 4)
    kernel = node.numbers("kernel_shape", 2, 1, 0)
    pads = node.numbers("pads", 4, 0, 0)
    if any(pad >= kernel[index % 2] for index, pad in enumerate(pads)):
        raise node.refuse("the padding is as large as the kernel")
    return (*source[:2], *window(node, source, kernel))


def _global_pool(node: NodeView) -> Shape:
    return (*node.shape(0, 4)[:2], 1, 1)


def _gemm(node: NodeView) -> Shape:
    left, right = node.shape(0, 2), node.shape(1, 2)
    left = left[::-1] if node.number("transA", 0) else left
    right = right[::-1] if node.number("transB", 0) else right
    if left[1] != right[0]:
        raise node.refuse(f"{left} and {right} cannot be multiplied")
    out = (left[0], right[1])
    if len(node.shapes) > 2 and node.shapes[2] is not None and _broadcast(node, out, node.shapes[2]) != out:
        raise node.refuse("the bias is larger than the product")
    return out


def _matmul(node: NodeView) -> Shape:
    left, right = node.shape(0), node.shape(1)
    if len(left) < 2 or len(right) < 2 or left[-1] != right[-2]:
        raise node.refuse(f"{left} and {right} cannot be multiplied")
    return (*_broadcast(node, left[:-2], right[:-2]), left[-2], right[-1])


def _broadcast(node: NodeView, left: Shape, right: Shape) -> Shape:
    rank = max(len(left), len(right))
    pairs = zip((1,) * (rank - len(left)) + left, (1,) * (rank - len(right)) + right, strict=True)
    out = []
    for a, b in pairs:
        if a != b and 1 not in (a, b):
            raise node.refuse(f"{left} and {right} do not broadcast")
        out.append(b if a == 1 else a)
    return tuple(out)


def _elementwise(node: NodeView) -> Shape:
    return _broadcast(node, node.shape(0), node.shape(1))


def _same(node: NodeView) -> Shape:
    return node.shape(0)


def _clip(node: NodeView) -> Shape:
    if any(shape is not None and math.prod(shape) != 1 for shape in node.shapes[1:]):
        raise node.refuse("a bound is not one number")
    return node.shape(0)


def _softmax(node: NodeView) -> Shape:
    shape = node.shape(0)
    node.axis(node.number("axis", -1), len(shape))
    return shape


def _batch_norm(node: NodeView) -> Shape:
    source = node.shape(0)
    if len(source) < 2 or len(node.shapes) != 5 or any(shape != source[1:2] for shape in node.shapes[1:]):
        raise node.refuse("scale, bias, mean and variance must have one entry a channel")
    if node.number("training_mode", 0):
        raise node.refuse("it is in training mode")
    return source


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


def _reduce(node: NodeView) -> Shape:
    shape = node.shape(0)
    found = _axes(node, len(shape))
    if not found:
        raise node.refuse("its axes are no constants")
    if node.number("keepdims", 1):
        return tuple(1 if axis in found else size for axis, size in enumerate(shape))
    return tuple(size for axis, size in enumerate(shape) if axis not in found)


def _axes(node: NodeView, rank: int) -> list[int]:
    """The axes that an attribute or the second input lists, counted from the front, each once."""
    if len(node.shapes) > 1 and node.shapes[1] is not None and (len(node.shapes[1]) != 1 or 1 not in node.constants):
        raise node.refuse("its axes are no constants")
    axes = node.attributes["axes"].ints if "axes" in node.attributes else node.constants.get(1, ())
    found = [node.axis(axis, rank) for axis in axes]
    if len(set(found)) != len(found):
        raise node.refuse("an axis is there twice")
    return found


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


def _cast(node: NodeView) -> Shape:
    if 0 not in node.constants or node.number("to", 0) != onnx.TensorProto.INT64:
        raise node.refuse("only numbers of shapes are cast, to int64")
    return node.shape(0)


def _gather(node: NodeView) -> Shape:
    shape, indices = node.shape(0, 1), node.shape(1)
    if not {0, 1} <= node.constants.keys() or node.number("axis", 0) not in (0, -1):
        raise node.refuse("only numbers of shapes are gathered, by constants")
    for index in node.constants[1]:
        node.axis(index, shape[0])
    return indices


def _squeeze(node: NodeView) -> Shape:
    shape = node.shape(0)
    found = _axes(node, len(shape)) or [axis for axis, size in enumerate(shape) if size == 1]
    if any(shape[axis] != 1 for axis in found):
        raise node.refuse("a dimension that goes is not 1")
    return tuple(size for axis, size in enumerate(shape) if axis not in found)


def _unsqueeze(node: NodeView) -> Shape:
    shape = node.shape(0)
    count = len(node.attributes["axes"].ints) if "axes" in node.attributes else len(node.constants.get(1, ()))
    if not 1 <= count <= 8:
        raise node.refuse("its axes are no constants")
    rank = len(shape) + count
    found, sizes = _axes(node, rank), iter(shape)
    return tuple(1 if axis in found else next(sizes) for axis in range(rank))


RULES: dict[str, Callable[[NodeView], Shape]] = {
    "Add": _elementwise,
    "AveragePool": _pool,
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _conv,
    "Div": _elementwise,
    "Flatten": _flatten,
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_pool,
    "GlobalMaxPool": _global_pool,
    "HardSigmoid": _same,
    "HardSwish": _same,
    "Identity": _same,
    "LeakyRelu": _same,
    "LogSoftmax": _softmax,
    "MatMul": _matmul,
    "MaxPool": _pool,
    "Mul": _elementwise,
    "ReduceMean": _reduce,
    "Relu": _same,
    "Reshape": _reshape,
    "Shape": _shape,
    "Sigmoid": _same,
    "Softmax": _softmax,
    "Squeeze": _squeeze,
    "Sub": _elementwise,
    "Tanh": _same,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
