"""Exporter's counters → the network's own names.

A layer is called what its weight's parameter is called, less ``.weight``; its bias ``LAYER.bias``; nodes without
weights by their op type and a counter. A value is called what the node that makes it is called. Ensures: names are
unique, and depend on nothing but the network.
"""

from __future__ import annotations

from collections import Counter

import onnx_ir as ir

from exporters.passes._graph import constant


class NameLayers(ir.passes.InPlacePass):
    """Exporter's counters → the network's own names."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rename nodes, values and unnamed constants; inputs, outputs and parameters keep their names."""
        graph = model.graph
        outputs = {id(value) for value in graph.outputs}
        taken = Counter(value.name for value in (*graph.inputs, *graph.outputs))
        names = [_node_name(node, taken) for node in graph]
        for index, value in enumerate(value for node in graph for value in node.outputs):
            if id(value) not in outputs:
                value.name = f"_{index}"  # no name of a first half may collide with one of the second
        for node, name in zip(graph, names, strict=True):
            node.name = name
            for index, value in enumerate(node.outputs):
                if id(value) not in outputs:
                    value.name = name if index == 0 else f"{name}.{index}"
        for node in graph:
            if node.op_type in ("Conv", "Gemm") and len(node.inputs) > 2:
                _rename(graph, node.inputs[2], f"{node.name}.bias")
            elif node.op_type == "Clip":
                for bound in node.inputs[1:]:
                    array = constant(bound)
                    if array is not None:
                        _rename(graph, bound, f"bound.{float(array):g}")
        return ir.passes.PassResult(model, modified=True)


def _node_name(node: ir.Node, taken: Counter[str | None]) -> str:
    weight = node.inputs[1] if node.op_type in ("Conv", "Gemm") and len(node.inputs) > 1 else None
    stem = weight.name.removesuffix(".weight") if weight is not None and weight.name else node.op_type.lower()
    taken[stem] += 1
    if taken[stem] == 1:
        return stem
    return _node_name_numbered(stem, taken)


def _node_name_numbered(stem: str, taken: Counter[str | None]) -> str:
    name = f"{stem}_{taken[stem]}"
    while taken[name]:
        taken[stem] += 1
        name = f"{stem}_{taken[stem]}"
    taken[name] += 1
    return name


def _rename(graph: ir.Graph, value: ir.Value | None, name: str) -> None:
    if value is None or not value.is_initializer() or name in graph.initializers:
        return
    value.name = name
