"""ReduceMean over height and width → GlobalAveragePool (kept dimensions) or Flatten ∘ GlobalAveragePool.

A Reshape that only drops the pooled dimensions becomes Flatten, too. Requires: a 4-d input, constant axes. Ensures: no
such ReduceMean is left. Runtimes keep a convolution's layout through the pooling op, but not through a general
reduction.
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from exporters.layers.graph import constant, static_shape


class MeanToPool(ir.passes.InPlacePass):
    """ReduceMean over (H, W) → GlobalAveragePool."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Replace each such mean, and each Reshape that only flattens what a pooling leaves."""
        means = [node for node in model.graph if _is_spatial_mean(node)]
        for node in means:
            _replace_mean(model.graph, node)
        flattens = [node for node in model.graph if _flattens_pool(node)]
        for node in flattens:
            _replace(model.graph, node, [ir.node("Flatten", [node.inputs[0]], attributes={"axis": 1})])
        RemoveUnusedNodesPass()(model)
        return ir.passes.PassResult(model, bool(means or flattens))


def _is_spatial_mean(node: ir.Node) -> bool:
    if node.op_type != "ReduceMean" or node.inputs[0] is None or node.inputs[0].shape is None:
        return False
    axes = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    rank = len(node.inputs[0].shape)
    return rank == 4 and axes is not None and sorted(int(axis) % rank for axis in axes) == [2, 3]


def _replace_mean(graph: ir.Graph, node: ir.Node) -> None:
    pool = ir.node("GlobalAveragePool", [node.inputs[0]])
    keepdims = node.attributes["keepdims"].as_int() if "keepdims" in node.attributes else 1
    if keepdims:
        return _replace(graph, node, [pool])
    pool.outputs[0].type = node.outputs[0].type
    if node.outputs[0].shape is not None:
        pool.outputs[0].shape = ir.Shape([*node.outputs[0].shape, 1, 1])
    return _replace(graph, node, [pool, ir.node("Flatten", [pool.outputs[0]], attributes={"axis": 1})])


def _flattens_pool(node: ir.Node) -> bool:
    if node.op_type != "Reshape" or node.inputs[0] is None:
        return False
    producer = node.inputs[0].producer()
    before, after = static_shape(node.inputs[0]), static_shape(node.outputs[0])
    return (
        producer is not None
        and producer.op_type in ("GlobalAveragePool", "ReduceMean", "MaxPool", "AveragePool", "Conv", "Clip", "Relu")
        and before is not None
        and after is not None
        and len(before) == 4
        and before[1:] == (after[1], 1, 1)
        and len(after) == 2
    )


def _replace(graph: ir.Graph, old: ir.Node, new: list[ir.Node]) -> None:
    ir.convenience.replace_nodes_and_values(graph, old, [old], new, old.outputs, new[-1].outputs)
