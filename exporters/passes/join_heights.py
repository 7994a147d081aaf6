"""Unsqueeze ∘ Squeeze of the same axes → nothing.

Requires: Sparsify, which puts a Squeeze behind and an Unsqueeze before each convolution over one side. Ensures: such
convolutions that follow each other hand their values on as they are, and so can become one node.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from exporters.layers.graph import constant


class JoinHeights(ir.passes.InPlacePass):
    """Unsqueeze ∘ Squeeze → nothing."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Let the readers of each such Unsqueeze read what the Squeeze reads."""
        found = [node for node in model.graph if _undoes(node)]
        for node in found:
            squeeze = node.inputs[0].producer() if node.inputs[0] is not None else None
            original = None if squeeze is None else squeeze.inputs[0]
            if original is not None:
                node.outputs[0].replace_all_uses_with(original)
        if found:
            RemoveUnusedNodesPass()(model)
        return ir.passes.PassResult(model, bool(found))


def _undoes(node: ir.Node) -> bool:
    if node.op_type != "Unsqueeze" or node.domain or node.inputs[0] is None or node.outputs[0].is_graph_output():
        return False
    before = node.inputs[0].producer()
    if before is None or before.op_type != "Squeeze" or before.domain or len(before.inputs) < 2:
        return False
    ours, theirs = constant(node.inputs[1]), constant(before.inputs[1])
    return ours is not None and theirs is not None and np.array_equal(ours, theirs)
