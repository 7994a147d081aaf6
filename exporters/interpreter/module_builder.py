"""Torch modules and calls of an ONNX graph, as they are built node by node."""

from __future__ import annotations

import keyword
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from torch import fx, nn

from exporters.interpreter.dtypes import NotComputed
from exporters.interpreter.graph_node import GraphNode

_STANDARD = ("", "ai.onnx")
_SERIES, _IMAGES = 3, 4
_OVER_SIDES = frozenset(
    (
        "AveragePool", "Conv", "GlobalAveragePool", "GlobalMaxPool", "MaxPool", "Pad", "ReduceMax", "ReduceMean",
        "Squeeze", "Unsqueeze",
    )
)  # fmt: skip
_LIFTED = ("GlobalAveragePool", "GlobalMaxPool", "Squeeze")


class Builder:
    """Modules and calls so far."""

    def __init__(self, model: onnx.ModelProto, builders: Mapping[str, Build]) -> None:
        self.model, self.builders = model, builders
        self.graph = model.graph
        self.arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        self.sizes = _sizes(model)
        self.fx = fx.Graph()
        self.modules = nn.Module()
        self.values: dict[str, fx.Node] = {}
        self.sides = 2  # of what the network reads: images, or series
        self.lifted: set[str] = set()  # series that an Unsqueeze has made images of height 1, for a pool

    @property
    def axes(self) -> list[int]:
        """Those of the sides of a value."""
        return list(range(2, 2 + self.sides))

    def finish(self) -> fx.GraphModule:
        """The network of all nodes."""
        inputs = [value for value in self.graph.input if value.name not in self.arrays]
        if len(self.graph.output) != 1:
            raise NotComputed(f"{len(self.graph.output)} outputs; it takes one")
        ranks = [len(value.type.tensor_type.shape.dim) for value in inputs]
        self.sides = 1 if _SERIES in ranks and _IMAGES not in ranks else 2
        for place, value in enumerate(inputs):
            known = value.name.isidentifier() and not keyword.iskeyword(value.name)
            name = value.name if known else f"input_{place}"
            self.values[value.name] = self.fx.placeholder(name if len(inputs) > 1 else "input")
        for node in self.graph.node:
            self._add(node)
        output = self.graph.output[0].name
        if output not in self.values:
            raise NotComputed("an output that is a constant")
        self.fx.output(self.values[output])
        for name, made in self.values.items():
            made.meta.setdefault("values", []).append(name)
        module = fx.GraphModule(self.modules, self.fx).eval()
        module.meta["onnx"] = self.model
        return module

    def _add(self, node: onnx.NodeProto) -> None:
        """A node as layers know it, or as it is."""
        before = list(self.fx.nodes)
        try:
            self.values[node.output[0]] = self._node(node)
        except NotComputed:
            for made in reversed([one for one in self.fx.nodes if one not in before]):
                self.fx.erase_node(made)
            self._as_it_is(node)

    def _as_it_is(self, node: onnx.NodeProto) -> None:
        unknown = [name for name in node.input if name and name not in self.values and name not in self.arrays]
        if unknown or self.lifted.intersection(node.input) or node.domain not in _STANDARD:
            raise self.refusal(node)
        part = GraphNode(node, self.arrays, self.model)
        if part.runtime_nodes or not part.values:
            raise self.refusal(node)
        first, *more = (self.values[name] for name in part.values)
        made = self.call(node, part, first, more=tuple(more))
        outputs = [name for name in node.output if name]
        for place, name in enumerate(outputs):
            several = len(outputs) > 1
            self.values[name] = self.fx.call_function(operator.getitem, (made, place)) if several else made

    def _node(self, node: onnx.NodeProto) -> fx.Node:
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        build = self.builders.get(node.op_type) if node.domain in _STANDARD else None
        lifted = self.lifted.intersection(node.input)
        if (
            build is None
            or len([name for name in node.output if name]) != 1
            or (lifted and node.op_type not in _LIFTED)
            or (not lifted and not self._is_of_images(node))
        ):
            raise self.refusal(node)
        if lifted and node.op_type != "Squeeze":
            self.lifted.add(node.output[0])
        return build(self, node, attributes)

    def _is_of_images(self, node: onnx.NodeProto) -> bool:
        """Whether an operator over sides reads what has as many sides as the network's input, as far as is known."""
        rank = len(self.sizes.get(node.input[0], ()))
        return node.op_type not in _OVER_SIDES or rank in (0, 2 + self.sides)

    def refusal(self, node: onnx.NodeProto, what: str = "") -> NotComputed:
        """The exception for a node that has no such module."""
        return NotComputed(f"the {node.op_type} {node.name or node.output[0]}{what}")

    def value(self, node: onnx.NodeProto, place: int = 0) -> fx.Node:
        """A computed input of a node."""
        if node.input[place] not in self.values:
            raise self.refusal(node, " of constants")
        return self.values[node.input[place]]

    def array(self, node: onnx.NodeProto, place: int) -> np.ndarray[Any, Any] | None:
        """A constant input of a node; None where it has none."""
        if len(node.input) <= place or not node.input[place]:
            return None
        if node.input[place] not in self.arrays:
            raise self.refusal(node, " with computed parameters")
        return self.arrays[node.input[place]]

    def call(
        self, node: onnx.NodeProto, module: nn.Module, source: fx.Node, ending: str = "", more: tuple[fx.Node, ...] = ()
    ) -> fx.Node:
        """A module of the node's name and an ending, called with one value, and ``more``."""
        name = re.sub(r"\W", "_", f"{node.name or node.output[0]}{ending and '_'}{ending}").lstrip("_") or "node"
        name = f"n{name}" if name[0].isdigit() else name
        while hasattr(self.modules, name):
            name += "_"
        self.modules.add_module(name, module)
        return self.fx.call_module(name, (source, *more))


Build = Callable[[Builder, onnx.NodeProto, dict[str, Any]], fx.Node]
"""What makes a node's module or call, from its attributes."""


def _sizes(model: onnx.ModelProto) -> dict[str, tuple[int | None, ...]]:
    """Sizes of the graph's values as far as they can be inferred, None where one is open."""
    try:
        graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    except Exception:  # contradictory shapes
        return {}
    return {
        value.name: tuple(
            dim.dim_value if dim.HasField("dim_value") else None for dim in value.type.tensor_type.shape.dim
        )
        for value in (*graph.value_info, *graph.input, *graph.output)
        if value.type.tensor_type.HasField("shape")
    }
