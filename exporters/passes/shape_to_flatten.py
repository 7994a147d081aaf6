"""Reshape to (batch, everything else) → Flatten; the Shape and Concat that worked out the batch → nothing.

Requires: known shapes, symbolic in the first dimension at most. Ensures: no such Reshape is left. Flatten has no second
input, so nothing has to be computed for it and who reads the file sees its output's shape at once.
"""

from __future__ import annotations

import math

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass


class ShapeToFlatten(ir.passes.InPlacePass):
    """Reshape to (batch, everything else) → Flatten."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Replace each such Reshape, whatever its new shape is computed from."""
        found = [node for node in model.graph if _flattens(node)]
        for node in found:
            flatten = ir.node("Flatten", [node.inputs[0]], attributes={"axis": 1})
            ir.convenience.replace_nodes_and_values(model.graph, node, [node], [flatten], node.outputs, flatten.outputs)
        RemoveUnusedNodesPass()(model)
        return ir.passes.PassResult(model, bool(found))


def _flattens(node: ir.Node) -> bool:
    if node.op_type != "Reshape" or node.domain or node.inputs[0] is None:
        return False
    before, after = node.inputs[0].shape, node.outputs[0].shape
    if before is None or after is None or len(before) < 2 or len(after) != 2 or before[0] != after[0]:
        return False
    if before[0] == ir.SymbolicDim(None):  # nothing says that two unknown dimensions are the same
        return False
    rest = [dim for dim in before[1:] if isinstance(dim, int)]
    return len(rest) == len(before) - 1 and math.prod(rest) == after[1]
