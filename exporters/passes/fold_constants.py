"""Nodes of constants → initializers; nodes without effect → nothing.

Requires: an operator set of 18 or more. Ensures: bounds of Clip, axes of reductions and shapes of Reshape that do not
depend on the input are constants; no Identity and no unused node is left.
"""

from __future__ import annotations

import onnx_ir as ir
import onnxscript.optimizer
from onnx_ir.passes.common import IdentityEliminationPass, LiftConstantsToInitializersPass, RemoveUnusedNodesPass


class FoldConstants(ir.passes.InPlacePass):
    """Nodes of constants → initializers."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Fold, lift and clean up."""
        folded = onnxscript.optimizer.fold_constants(model, onnx_shape_inference=False)
        cleaned = ir.passes.Sequential(
            IdentityEliminationPass(),
            LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
            RemoveUnusedNodesPass(),
        )(model)
        return ir.passes.PassResult(model, bool(folded.modified) or cleaned.modified)
