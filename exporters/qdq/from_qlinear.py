"""QLinear ops → the standard op between DequantizeLinear and QuantizeLinear, which says the same.

QLinearConv, QLinearMatMul                                     of standard ONNX
QGemm, QLinearAdd, QLinearMul, QLinearConcat, QLinearSigmoid,
QLinearLeakyRelu, QLinearAveragePool, QLinearGlobalAveragePool of ONNX Runtime (``com.microsoft``)

A node stays as it is where its scales are no initializers, or where it says what the standard op cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from exporters.weights.dtypes import Array

_OURS = ("", "ai.onnx", "com.microsoft")


def from_qlinear(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with QDQ for QLinear ops; the same object where it has none."""
    if not any(node.op_type in _RULES and node.domain in _OURS for node in model.graph.node):
        return model
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    graph = _Graph(changed.graph)
    for node in model.graph.node:
        graph.add(node)
    del changed.graph.node[:]
    changed.graph.node.extend(graph.nodes)
    changed.graph.initializer.extend(graph.constants)
    if not any(node.domain == "com.microsoft" for node in graph.nodes):
        kept = [opset for opset in changed.opset_import if opset.domain != "com.microsoft"]
        del changed.opset_import[:]
        changed.opset_import.extend(kept)
    return changed


class _Graph:
    """Nodes and initializers of the new graph."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._known = {tensor.name: tensor for tensor in graph.initializer}
        self._taken = {name for node in graph.node for name in (*node.input, *node.output)} | set(self._known)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, node: onnx.NodeProto) -> None:
        """Add a node, or what it stands for."""
        rule = _RULES.get(node.op_type) if node.domain in _OURS else None
        if rule is None or not rule(self, node):
            self.nodes.append(node)

    def array(self, name: str) -> Array | None:
        """An initializer."""
        return numpy_helper.to_array(self._known[name]) if name in self._known else None

    def free(self, stem: str) -> str:
        """A name that nothing has."""
        name, count = stem, 1
        while name in self._taken:
            count += 1
            name = f"{stem}_{count}"
        self._taken.add(name)
        return name

    def make(self, op: str, inputs: Sequence[str], output: str, name: str, **attributes: Any) -> str:
        """Add a standard node; its output."""
        while inputs and not inputs[-1]:
            inputs = inputs[:-1]
        self.nodes.append(helper.make_node(op, list(inputs), [output], name, **attributes))
        return output

    def real(self, node: onnx.NodeProto, place: int, axis: int | None = None) -> str:
        """The float32 numbers of three inputs: codes, scale, zero point."""
        codes, scale, zero = (*node.input, "", "")[place : place + 3]
        own = self.free(f"{node.output[0]}.{place}")
        more = {} if axis is None else {"axis": axis}
        return self.make("DequantizeLinear", [codes, scale, zero], own, own, **more)

    def bias(self, node: onnx.NodeProto, name: str, scales: tuple[str, str]) -> str | None:
        """The float32 numbers of an int32 bias; None where its scale is not known."""
        one, two = (self.array(scale) for scale in scales)
        if one is None or two is None:
            return None
        own = self.free(f"{node.output[0]}.bias")
        unit: Array = one.reshape(-1)[:1].astype(np.float32) * two.reshape(-1).astype(np.float32)
        unit = unit.reshape(()) if unit.size == 1 else unit
        self.constants.append(numpy_helper.from_array(unit, self.free(f"{own}.scale")))
        return self.make("DequantizeLinear", [name, self.constants[-1].name], own, own, axis=0)

    def around(self, node: onnx.NodeProto, op: str, inputs: Sequence[str], grid: Sequence[str], **more: Any) -> bool:
        """Add the standard op of float32 inputs, and the QuantizeLinear after it."""
        inner = self.free(f"{node.output[0]}.real")
        self.make(op, inputs, inner, node.name or node.output[0], **more)
        self.make("QuantizeLinear", [inner, *grid], node.output[0], self.free(f"{node.output[0]}.codes"))
        return True


def _attributes(node: onnx.NodeProto, *without: str) -> dict[str, Any]:
    return {one.name: helper.get_attribute_value(one) for one in node.attribute if one.name not in without}


def _conv(graph: _Graph, node: onnx.NodeProto) -> bool:
    bias = []
    if len(node.input) > 8 and node.input[8]:
        found = graph.bias(node, node.input[8], (node.input[1], node.input[4]))
        if found is None:
            return False
        bias = [found]
    inputs = [graph.real(node, 0), graph.real(node, 3, axis=0), *bias]
    return graph.around(node, "Conv", inputs, node.input[6:8], **_attributes(node))


def _matmul(graph: _Graph, node: onnx.NodeProto) -> bool:
    weight = graph.array(node.input[3])
    axis = 1 if weight is None else weight.ndim - 1
    return graph.around(node, "MatMul", [graph.real(node, 0), graph.real(node, 3, axis=axis)], node.input[6:8])


def _gemm(graph: _Graph, node: onnx.NodeProto) -> bool:
    attributes = _attributes(node)
    bias = []
    if len(node.input) > 6 and node.input[6]:
        found = graph.bias(node, node.input[6], (node.input[1], node.input[4]))
        if found is None:
            return False
        bias = [found]
    axis = 0 if attributes.get("transB", 0) else 1
    inputs = [graph.real(node, 0), graph.real(node, 3, axis=axis), *bias]
    if len(node.input) > 7 and node.input[7]:
        return graph.around(node, "Gemm", inputs, node.input[7:9], **attributes)
    graph.make("Gemm", inputs, node.output[0], node.name or node.output[0], **attributes)
    return True


def _pair(op: str) -> Callable[[_Graph, onnx.NodeProto], bool]:
    return lambda graph, node: graph.around(node, op, [graph.real(node, 0), graph.real(node, 3)], node.input[6:8])


def _single(op: str, drop: str = "") -> Callable[[_Graph, onnx.NodeProto], bool]:
    def rule(graph: _Graph, node: onnx.NodeProto) -> bool:
        attributes = _attributes(node)
        if drop and attributes.pop(drop, 0):
            return False
        return graph.around(node, op, [graph.real(node, 0)], node.input[3:5], **attributes)

    return rule


def _concat(graph: _Graph, node: onnx.NodeProto) -> bool:
    inputs = [graph.real(node, place) for place in range(2, len(node.input) - 2, 3)]
    return graph.around(node, "Concat", inputs, node.input[:2], **_attributes(node))


_RULES: Mapping[str, Callable[[_Graph, onnx.NodeProto], bool]] = {
    "QLinearConv": _conv,
    "QLinearMatMul": _matmul,
    "QGemm": _gemm,
    "QLinearAdd": _pair("Add"),
    "QLinearMul": _pair("Mul"),
    "QLinearConcat": _concat,
    "QLinearSigmoid": _single("Sigmoid"),
    "QLinearLeakyRelu": _single("LeakyRelu"),
    "QLinearAveragePool": _single("AveragePool", "channels_last"),
    "QLinearGlobalAveragePool": _single("GlobalAveragePool", "channels_last"),
}
