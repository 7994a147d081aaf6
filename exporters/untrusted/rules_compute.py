"""Output shapes of operators that calculate: element by element, products, sums over axes, norms, recurrent layers."""

from __future__ import annotations

import math
from collections.abc import Callable

from exporters.untrusted.node_view import NodeView, Shape, axes, broadcast, quantised


def _same(node: NodeView) -> Shape:
    return node.shape(0)


def _elementwise(node: NodeView) -> Shape:
    shape = node.shape(0)
    for index in range(1, len(node.shapes)):
        shape = broadcast(node, shape, node.shape(index))
    return shape


def _pair(node: NodeView) -> Shape:
    return broadcast(node, node.shape(0), node.shape(1))


def _within(node: NodeView) -> Shape:
    """The first input's shape, to which all others are broadcast."""
    source = node.shape(0)
    for shape in node.shapes[1:]:
        if shape is not None and broadcast(node, source, shape) != source:
            raise node.refuse(f"{shape} is larger than {source}")
    return source


def _gemm(node: NodeView) -> Shape:
    left, right = node.shape(0, 2), node.shape(1, 2)
    left = left[::-1] if node.number("transA", 0) else left
    right = right[::-1] if node.number("transB", 0) else right
    if left[1] != right[0]:
        raise node.refuse(f"{left} and {right} cannot be multiplied")
    out = (left[0], right[1])
    if len(node.shapes) > 2 and node.shapes[2] is not None and broadcast(node, out, node.shapes[2]) != out:
        raise node.refuse("the bias is larger than the product")
    return out


def _matmul(node: NodeView) -> Shape:
    return _product(node, node.shape(0), node.shape(1))


def _matmul_integer(node: NodeView) -> Shape:
    quantised(node, (2,), 1)
    quantised(node, (3,), (node.shape(1) or (1,))[-1])
    return _product(node, node.shape(0), node.shape(1))


def _qlinear_matmul(node: NodeView) -> Shape:
    quantised(node, (1, 2, 6, 7), 1)
    quantised(node, (4, 5), (node.shape(3) or (1,))[-1])
    return _product(node, node.shape(0), node.shape(3))


def _quantize(node: NodeView) -> Shape:
    """Scale and zero point have one entry, or one for each along an axis."""
    source = node.shape(0)
    axis = node.axis(node.number("axis", 1), len(source)) if any(node.shapes[1:]) and len(source) > 1 else 0
    quantised(node, (1, 2), source[axis] if source else 1)
    return source


def _dynamic_quantize(node: NodeView) -> list[Shape]:
    return [node.shape(0), (), ()]


def _product(node: NodeView, left: Shape, right: Shape) -> Shape:
    if not left or not right or left[-1] != right[-2 if len(right) > 1 else 0]:
        raise node.refuse(f"{left} and {right} cannot be multiplied")
    outer = broadcast(node, left[:-2], right[:-2])
    return (*outer, *left[-2:-1], *(right[-1:] if len(right) > 1 else ()))


def _clip(node: NodeView) -> Shape:
    if any(shape is not None and math.prod(shape) != 1 for shape in node.shapes[1:]):
        raise node.refuse("a bound is not one number")
    return node.shape(0)


def _softmax(node: NodeView) -> Shape:
    shape = node.shape(0)
    node.axis(node.number("axis", -1), len(shape))
    return shape


def _dropout(node: NodeView) -> list[Shape]:
    return [node.shape(0)] * 2


def _batch_norm(node: NodeView) -> Shape:
    source = node.shape(0)
    if len(source) < 2 or len(node.shapes) != 5 or any(shape != source[1:2] for shape in node.shapes[1:]):
        raise node.refuse("scale, bias, mean and variance must have one entry a channel")
    if node.number("training_mode", 0):
        raise node.refuse("it is in training mode")
    return source


def _channel_norm(node: NodeView) -> Shape:
    """Instance and group normalization: scale and bias have one entry a channel, or a group in older operator sets."""
    source = node.shape(0)
    if len(source) < 3 or len(node.shapes) != 3:
        raise node.refuse("it needs an input with sides, a scale and a bias")
    groups = node.number("num_groups", source[1])
    if groups < 1 or source[1] % groups or any(shape not in (source[1:2], (groups,)) for shape in node.shapes[1:]):
        raise node.refuse("scale and bias must have one entry a channel or group")
    return source


def _layer_norm(node: NodeView) -> list[Shape]:
    source = node.shape(0)
    axis = node.axis(node.number("axis", -1), len(source))
    for shape in node.shapes[1:]:
        if shape is not None and broadcast(node, source[axis:], shape) != source[axis:]:
            raise node.refuse("scale and bias are larger than what is normalized")
    kept = (*source[:axis], *(1 for _ in source[axis:]))
    return [source, kept, kept]


def _reduce(node: NodeView) -> Shape:
    shape = node.shape(0)
    found = axes(node, len(shape))
    if not found:
        if len(node.shapes) > 1 and node.shapes[1] is not None and node.shapes[1] != (0,):
            raise node.refuse("its axes are no constants")
        found = [] if node.number("noop_with_empty_axes", 0) else list(range(len(shape)))
    if node.number("keepdims", 1):
        return tuple(1 if axis in found else size for axis, size in enumerate(shape))
    return tuple(size for axis, size in enumerate(shape) if axis not in found)


def _arg(node: NodeView) -> Shape:
    shape = node.shape(0)
    at = node.axis(node.number("axis", 0), len(shape))
    if node.number("keepdims", 1):
        return tuple(1 if axis == at else size for axis, size in enumerate(shape))
    return tuple(size for axis, size in enumerate(shape) if axis != at)


def _recurrent(node: NodeView) -> list[Shape]:
    """RNN, GRU and LSTM: weights of shape (directions, gates × hidden, inputs), of any sequence length."""
    source, weight, recurrence = node.shape(0, 3), node.shape(1, 3), node.shape(2, 3)
    gates = {"RNN": 1, "GRU": 3, "LSTM": 4}[node.op]
    hidden, directions, by_batch = recurrence[2], weight[0], node.number("layout", 0)
    length, batch = (source[1], source[0]) if by_batch else (source[0], source[1])
    whole = (directions, gates * hidden)
    bidirectional = "direction" in node.attributes and node.attributes["direction"].s == b"bidirectional"
    if directions != 1 + bidirectional or hidden < 1 or node.number("hidden_size", hidden) != hidden:
        raise node.refuse("its directions or its hidden size are not the weights'")
    if weight != (*whole, source[2]) or recurrence != (*whole, hidden):
        raise node.refuse(f"input {source} and weights {weight}, {recurrence} do not fit")
    state = (batch, directions, hidden) if by_batch else (directions, batch, hidden)
    expected = {3: (directions, 2 * gates * hidden), 4: (batch,), 5: state, 6: state, 7: (directions, 3 * hidden)}
    for place, shape in expected.items():
        if place < len(node.shapes) and node.shapes[place] not in (None, shape):
            raise node.refuse(f"input {place} has not the shape {shape}")
    outputs = (batch, length, directions, hidden) if by_batch else (length, directions, batch, hidden)
    return [outputs, state, state]


_UNARY = (
    *("Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitwiseNot", "Ceil", "Celu", "Cos", "Cosh", "Elu"),
    *("Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "IsInf", "IsNaN", "LeakyRelu", "Log", "Mish", "Neg"),
    *("Not", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus"),
    *("Softsign", "Sqrt", "Swish", "Tan", "Tanh", "ThresholdedRelu", "LRN", "LpNormalization", "CumSum"),
    "MeanVarianceNormalization",
)
_BINARY = (
    *("Add", "And", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Div", "Equal", "Greater", "GreaterOrEqual", "Less"),
    *("LessOrEqual", "Mod", "Mul", "Or", "Pow", "Sub", "Xor"),
)
_REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")
COMPUTE: dict[str, Callable[[NodeView], Shape | list[Shape]]] = {
    **dict.fromkeys(_UNARY, _same),
    **dict.fromkeys(_BINARY, _pair),
    **dict.fromkeys(("Max", "Mean", "Min", "Sum"), _elementwise),
    **{f"Reduce{name}": _reduce for name in _REDUCTIONS},
    **dict.fromkeys(("ArgMax", "ArgMin"), _arg),
    **dict.fromkeys(("GRU", "LSTM", "RNN"), _recurrent),
    **dict.fromkeys(("Hardmax", "LogSoftmax", "Softmax"), _softmax),
    **dict.fromkeys(("GroupNormalization", "InstanceNormalization"), _channel_norm),
    "BatchNormalization": _batch_norm,
    "Clip": _clip,
    "DequantizeLinear": _quantize,
    "Dropout": _dropout,
    "DynamicQuantizeLinear": _dynamic_quantize,
    "Gemm": _gemm,
    "LayerNormalization": _layer_norm,
    "MatMul": _matmul,
    "MatMulInteger": _matmul_integer,
    "PRelu": _within,
    "QLinearMatMul": _qlinear_matmul,
    "QuantizeLinear": _quantize,
    "RMSNormalization": _layer_norm,
}
