"""Output shapes of ONNX Runtime's own operators (``com.microsoft``) that its quantiser and its optimiser write.

They have no schema here, so that each lists its attributes and how many inputs it has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from onnx import AttributeProto

from exporters.untrusted.node_view import NodeView, Shape, broadcast, quantised
from exporters.untrusted.rules_arrange import ARRANGE
from exporters.untrusted.rules_compute import COMPUTE
from exporters.untrusted.rules_spatial import SPATIAL

MICROSOFT = "com.microsoft"
_INT, _INTS, _FLOAT, _FLOATS = AttributeProto.INT, AttributeProto.INTS, AttributeProto.FLOAT, AttributeProto.FLOATS
_TEXT = AttributeProto.STRING


@dataclass(frozen=True)
class Operator:
    """A shape rule, the fewest and the most inputs, and the types of the attributes."""

    rule: Callable[[NodeView], Shape | list[Shape]]
    least: int
    most: int
    attributes: Mapping[str, int] = field(default_factory=dict)


def _part(node: NodeView, *places: int) -> NodeView:
    """The node with these inputs alone, as the standard operator of that kind has them."""
    shapes = tuple(node.shapes[place] if place < len(node.shapes) else None for place in places)
    constants = {index: node.constants[place] for index, place in enumerate(places) if place in node.constants}
    return replace(node, shapes=shapes, constants=constants)


def _one(found: Shape | list[Shape]) -> Shape:
    return found[0] if isinstance(found, list) else found


def _same(node: NodeView) -> Shape:
    quantised(node, range(1, len(node.shapes)), 1)
    return node.shape(0)


def _biased(node: NodeView) -> Shape:
    source = node.shape(0)
    if len(node.shapes) > 1 and node.shapes[1] not in (None, source[-1:]):
        raise node.refuse("the bias has not one entry a column")
    return source


def _pair(node: NodeView) -> Shape:
    """A and B, each with its scale and zero point, and those of Y."""
    quantised(node, (1, 2, 4, 5, 6, 7), 1)
    return broadcast(node, node.shape(0), node.shape(3))


def _pooled(standard: str) -> Callable[[NodeView], Shape]:
    def rule(node: NodeView) -> Shape:
        quantised(node, (1, 2, 3, 4), 1)
        if node.number("channels_last", 0):
            raise node.refuse("its channels are last")
        return _one(SPATIAL[standard](_part(node, 0)))

    return rule


def _concat(node: NodeView) -> Shape:
    """The scale and zero point of Y, then each input with its own."""
    if len(node.shapes) % 3 != 2:
        raise node.refuse("its inputs are no threes")
    places = range(2, len(node.shapes), 3)
    quantised(node, (0, 1, *(place + more for place in places for more in (1, 2))), 1)
    return _one(ARRANGE["Concat"](_part(node, *places)))


def _gemm(node: NodeView) -> Shape:
    """A and B with scales and zero points, the bias, those of Y."""
    quantised(node, (1, 2, 7, 8), 1)
    out = _one(COMPUTE["Gemm"](_part(node, 0, 3, 6)))
    quantised(node, (4, 5), out[1])
    return out


def _matmul(scales: tuple[int, ...], bias: int) -> Callable[[NodeView], Shape]:
    """A product of A and B with scales and zero points, and a bias of a row."""

    def rule(node: NodeView) -> Shape:
        out = _one(COMPUTE["MatMul"](_part(node, 0, 1)))
        quantised(node, scales, (node.shape(1) or (1,))[-1])
        if bias < len(node.shapes) and node.shapes[bias] not in (None, out[-1:]):
            raise node.refuse("the bias has not one entry a column")
        return out

    return rule


def _fused_matmul(node: NodeView) -> Shape:
    if node.number("transBatchA", 0) or node.number("transBatchB", 0):
        raise node.refuse("it moves the batch")
    shapes = [node.shape(0), node.shape(1)]
    for index, name in enumerate(("transA", "transB")):
        if node.number(name, 0) and len(shapes[index]) > 1:
            shapes[index] = (*shapes[index][:-2], shapes[index][-1], shapes[index][-2])
    return _one(COMPUTE["MatMul"](replace(node, shapes=tuple(shapes))))


def _fused_conv(node: NodeView) -> Shape:
    out = _one(SPATIAL["Conv"](_part(node, 0, 1, 2)))
    if len(node.shapes) > 3 and node.shapes[3] not in (None, out):
        raise node.refuse(f"what is added has not the shape {out}")
    return out


def _skip_norm(node: NodeView) -> list[Shape]:
    """The sum of two values, normalised; its scale, shift and bias have one entry a column."""
    source = node.shape(0)
    added = node.shape(1)
    if len(source) not in (2, 3) or added not in (source, source[1:], (1, *source[1:])):
        raise node.refuse(f"{added} is not added to {source}")
    if any(shape not in (None, source[-1:]) for shape in node.shapes[2:]):
        raise node.refuse("its scale, shift or bias has not one entry a column")
    kept = (*source[:-1], 1)
    return [source, kept, kept, source]


_WINDOW = {"auto_pad": _TEXT, "kernel_shape": _INTS, "pads": _INTS, "strides": _INTS}
_POOL = {**_WINDOW, "ceil_mode": _INT, "channels_last": _INT, "count_include_pad": _INT}
_ACTIVATION = {"activation": _TEXT, "activation_alpha": _FLOAT, "activation_beta": _FLOAT, "activation_gamma": _FLOAT}
_GEMM = {"alpha": _FLOAT, "transA": _INT, "transB": _INT}
_BATCHES = {"transBatchA": _INT, "transBatchB": _INT}
OPERATORS: dict[str, Operator] = {
    "BiasGelu": Operator(_biased, 2, 2),
    "DequantizeLinear": Operator(COMPUTE["DequantizeLinear"], 2, 3, {"axis": _INT}),
    "DynamicQuantizeMatMul": Operator(_matmul((2, 3), 4), 3, 5),
    "FastGelu": Operator(_biased, 1, 2),
    "FusedConv": Operator(
        _fused_conv,
        2,
        4,
        {**_WINDOW, "activation": _TEXT, "activation_params": _FLOATS, "dilations": _INTS, "group": _INT},
    ),
    "FusedGemm": Operator(COMPUTE["Gemm"], 2, 3, {**_GEMM, **_ACTIVATION, "beta": _FLOAT}),
    "FusedMatMul": Operator(_fused_matmul, 2, 2, {**_GEMM, **_BATCHES}),
    "Gelu": Operator(_same, 1, 1),
    "MatMulIntegerToFloat": Operator(_matmul((2, 3, 4, 5), 6), 4, 7),
    "QGemm": Operator(_gemm, 6, 9, _GEMM),
    "QLinearAdd": Operator(_pair, 7, 8),
    "QLinearAveragePool": Operator(_pooled("AveragePool"), 4, 5, _POOL),
    "QLinearConcat": Operator(_concat, 5, 2**15, {"axis": _INT}),
    "QLinearGlobalAveragePool": Operator(_pooled("GlobalAveragePool"), 5, 5, {"channels_last": _INT}),
    "QLinearLeakyRelu": Operator(_same, 4, 5, {"alpha": _FLOAT}),
    "QLinearMul": Operator(_pair, 7, 8),
    "QLinearSigmoid": Operator(_same, 4, 5),
    "QuantizeLinear": Operator(COMPUTE["QuantizeLinear"], 2, 3, {"axis": _INT}),
    "QuickGelu": Operator(_same, 1, 1, {"alpha": _FLOAT}),
    "SkipLayerNormalization": Operator(_skip_norm, 3, 5, {"epsilon": _FLOAT}),
    "SkipSimplifiedLayerNormalization": Operator(_skip_norm, 3, 4, {"epsilon": _FLOAT}),
}
