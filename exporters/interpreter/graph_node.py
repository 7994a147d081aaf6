"""One node of an ONNX graph as a torch module, among others that are layers, activations and pools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from exporters.interpreter.network import OnnxNetwork

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOVES = frozenset(
    (
        "Concat", "Expand", "Flatten", "Gather", "Identity", "Reshape", "Shape", "Slice", "Split", "Squeeze",
        "Transpose", "Unsqueeze",
    )
)  # fmt: skip


class GraphNode(OnnxNetwork):
    """A node, computed as `OnnxNetwork` computes it.

    Args:
        node: reads values and constants.
        constants: of the graph, by name.
        model: whose operator set it is of.

    Attributes:
        called: the node in words.
        moves: whether it changes the place of numbers alone.
        values: names of what it takes, in this order.
        permutation: of a Transpose, the axes.
    """

    def __init__(
        self, node: onnx.NodeProto, constants: Mapping[str, np.ndarray[Any, Any]], model: onnx.ModelProto
    ) -> None:
        read = list(dict.fromkeys(name for name in node.input if name))
        self_values = tuple(name for name in read if name not in constants)
        graph = helper.make_graph(
            [node],
            "node",
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in self_values],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in node.output if name],
            [numpy_helper.from_array(np.asarray(constants[name]), name) for name in read if name in constants],
        )
        super().__init__(helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version))
        self.called = f"the {node.op_type} {node.name or node.output[0]}"
        self.moves = node.op_type in _MOVES and not node.domain
        self.values = self_values
        turned = [list(attribute.ints) for attribute in node.attribute if attribute.name == "perm"]
        self.permutation = tuple(turned[0]) if turned and node.op_type == "Transpose" else None


def part_of(
    model: onnx.ModelProto, sources: Mapping[str, str], output: str, made: str, prefix: str
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """The nodes of a graph that make one of its values, and the constants that they read, under other names.

    sources: new names of the values that it is made of. output, made: the value, and its new name. prefix: of all
    other new names.
    """
    makers = {name: node for node in model.graph.node for name in node.output if name}
    waiting, inside = [output], set[str]()
    needed: list[onnx.NodeProto] = []
    while waiting:
        name = waiting.pop()
        node = makers.get(name)
        if node is None or (name in sources and name != output) or node.output[0] in inside:
            continue
        inside.add(node.output[0])
        needed.append(node)
        waiting += [one for one in node.input if one]
    arrays = {tensor.name: tensor for tensor in model.graph.initializer}
    order = {node.output[0]: place for place, node in enumerate(model.graph.node)}
    nodes, constants = list[onnx.NodeProto](), dict[str, onnx.TensorProto]()

    def named(name: str) -> str:
        if not name:
            return name
        if name in arrays and name not in constants:
            constants[name] = onnx.TensorProto.FromString(arrays[name].SerializeToString())
            constants[name].name = f"{prefix}{name}"
        return sources.get(name, f"{prefix}{name}")

    for node in sorted(needed, key=lambda one: order[one.output[0]]):
        copy = onnx.NodeProto.FromString(node.SerializeToString())
        copy.input[:] = [named(name) for name in node.input]
        copy.output[:] = [made if name == output else f"{prefix}{name}" if name else "" for name in node.output]
        nodes.append(copy)
    return nodes, list(constants.values())
