"""Float32 steps among integer ones as nodes of standard ONNX."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from torch import fx

import exporters
from exporters.from_onnx import opset_of
from exporters.interpreter.graph_node import part_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from chita_edge.quantization.graph import Step


_LAYOUTS: dict[str, list[tuple[str, list[int]]]] = {
    "": [],
    "series": [("Squeeze", [2])],
    "rows3": [("Squeeze", [3]), ("Transpose", [0, 2, 1])],
    "rows4": [("Transpose", [0, 2, 3, 1])],
}
"""Ops that bring codes of a layout to that of the network's value, as `chita_edge.quantization` has it."""


def step_output(name: str) -> str:
    """Name of the real value that a step makes, in the file."""
    return f"{name}/y"


def opset_of_part(step: Step) -> int:
    """Operator set of the ONNX graph that a float step is a part of; 0 of one that torch exports."""
    graph = getattr(step.part, "meta", {}).get("onnx")
    return 0 if graph is None else opset_of(graph) or 0


def part_nodes(
    step: Step, inputs: Sequence[torch.Tensor], sources: Sequence[str], output: str, opset: int
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Nodes of a float step, and their constants, whose names all begin with the step's.

    Args:
        step: of op "float".
        inputs: an example of what it reads; the size of the batch stays open.
        sources: names of the values that it reads.
        output: name of what it makes.
        opset: of the nodes.

    Raises:
        UnsupportedModelError: torch cannot export it.
    """
    if "onnx" in getattr(step.part, "meta", {}):
        return _own_nodes(step, sources, output)
    made = exporters.to_onnx(step.part, tuple(inputs))  # type: ignore[arg-type] # a module
    made = onnx.version_converter.convert_version(made, opset)
    graph = made.graph
    names = {name: f"{step.name}/{name}" for node in graph.node for name in (*node.input, *node.output) if name}
    names |= dict(zip((value.name for value in graph.input), sources, strict=True))
    if graph.output[0].name in (value.name for value in graph.input):  # it gives what it reads
        return [onnx.helper.make_node("Identity", [names[graph.output[0].name]], [output], step.name)], []
    names[graph.output[0].name] = output
    layers = _layer_names(graph)
    for node in graph.node:
        node.name = layers.get(node.name, f"{step.name}/{node.name}")
        for values in (node.input, node.output):
            for place, name in enumerate(values):
                values[place] = names.get(name, name)
    for constant in graph.initializer:
        constant.name = names.get(constant.name, f"{step.name}/{constant.name}")
    return list(graph.node), list(graph.initializer)


def _own_nodes(step: Step, sources: Sequence[str], output: str) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """The nodes of the ONNX graph that the network was made of."""
    part = step.part
    assert isinstance(part, fx.GraphModule)  # noqa: S101 (what has a graph's meta is one)
    nodes, constants, names = list[onnx.NodeProto](), list[onnx.TensorProto](), dict[str, str]()
    holders = [node for node in part.graph.nodes if node.op == "placeholder"]
    for holder, given in zip(holders, sources, strict=True):
        source, prefix = given, f"{step.name}/{holder.name}"
        for op, axes in _LAYOUTS[holder.meta["layout"]]:
            inputs, made = [source], f"{prefix}/{op}"
            options: dict[str, Any] = {}
            if op == "Squeeze":
                inputs.append(f"{prefix}/axes")
                constants.append(onnx.numpy_helper.from_array(np.array(axes, np.int64), inputs[-1]))
            else:
                options["perm"] = axes
            nodes.append(onnx.helper.make_node(op, inputs, [made], made, **options))
            source = made
        names |= dict.fromkeys(holder.meta["values"], source)
    (last,) = (node.args[0] for node in part.graph.nodes if node.op == "output")
    if "values" not in last.meta or last.op == "placeholder":  # what it reads, in another layout
        return [*nodes, onnx.helper.make_node("Identity", [source], [output], f"{step.name}/same")], constants
    more, arrays = part_of(part.meta["onnx"], names, last.meta["values"][-1], output, f"{step.name}/")
    return [*nodes, *more], [*constants, *arrays]


def _layer_names(graph: onnx.GraphProto) -> dict[str, str]:
    """Names of modules, by the nodes that have their weights or add their biases to a product; each once."""
    constants = {constant.name for constant in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    found: dict[str, str] = {}
    for node in graph.node:
        for name in node.input:
            module, _, kind = name.rpartition(".")
            product = next((makers[one] for one in node.input if one in makers), None)
            if name not in constants or module in found.values():
                continue
            if kind == "weight":
                found[node.name] = module
            elif kind == "bias" and node.op_type == "Add" and product is not None and product.op_type == "MatMul":
                found[product.name] = module
    return found
