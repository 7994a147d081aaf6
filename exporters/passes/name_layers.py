"""Exporter's counters → the network's own names.

A layer is called what its weight's parameter is called, less ``.weight``, or with the op type after it if it does not
end so (``kernel.conv``); its bias ``LAYER.bias``; nodes without weights by their op type and a counter. A value is
called what the node that makes it is called. Ensures: no two values of nodes, inputs and initializers have one name,
and names depend on nothing but the network.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import onnx_ir as ir

from exporters.layers.graph import constant

_LAYERS = ("Conv", "ConvTranspose", "Gemm")


class NameLayers(ir.passes.InPlacePass):
    """Exporter's counters → the network's own names."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rename nodes, values and unnamed constants; inputs, outputs and parameters keep their names."""
        graph = model.graph
        outputs = {id(value) for value in graph.outputs}
        taken = Counter(value.name for value in (*graph.inputs, *graph.outputs, *graph.initializers.values()))
        names = [_node_name(node, taken) for node in graph]
        for index, value in enumerate(value for node in graph for value in node.outputs):
            if id(value) not in outputs:
                value.name = f"_{index}"  # no name of a first half may collide with one of the second
        for node, name in zip(graph, names, strict=True):
            node.name = name
            for index, value in enumerate(node.outputs):
                if id(value) not in outputs:
                    value.name = name if index == 0 else _free(f"{name}.{index}", taken)
        constants: dict[ir.Value, str] = {}
        for node in graph:
            for value, name in _constant_names(node):
                constants.setdefault(value, name)  # one that several nodes read is called after the first
        for value, name in constants.items():
            if not taken[name]:
                taken[name] += 1
                value.name = name
        return ir.passes.PassResult(model, modified=True)


def _node_name(node: ir.Node, taken: Counter[str | None]) -> str:
    weight = node.inputs[1] if node.op_type in _LAYERS and len(node.inputs) > 1 else None
    stem = kind = node.op_type.lower()
    if weight is not None and weight.name and weight.name != "weight":
        own = weight.name.removesuffix(".weight")
        stem = own if own != weight.name else f"{own}.{kind}"
    return _free(stem, taken)


def _free(stem: str, taken: Counter[str | None]) -> str:
    """The stem, or the stem and the first number from 2 on that makes it a name nothing has; taken from now on."""
    taken[stem] += 1
    if taken[stem] == 1:
        return stem
    name = f"{stem}_{taken[stem]}"
    while taken[name]:
        taken[stem] += 1
        name = f"{stem}_{taken[stem]}"
    taken[name] += 1
    return name


def _constant_names(node: ir.Node) -> Iterator[tuple[ir.Value, str]]:
    """The initializers of a node that the exporter has named by counting, and what to call them."""
    for index, value in enumerate(node.inputs):
        array = constant(value)
        if value is None or array is None:
            continue
        if node.op_type in _LAYERS and index == 2:
            yield value, f"{node.name}.bias"
        elif node.op_type == "Clip" and array.size == 1:
            yield value, f"bound.{float(array.item()):g}"
