"""BatchNormalization ∘ Conv → Conv.

With scale s = γ / √(σ² + ε) per output channel: W ← s·W, bias ← s·(bias − μ) + β. Zeros of W stay zeros.
Requires: constant weights, read by nothing else. Ensures: no BatchNormalization directly after such a Conv; each Conv
and Gemm has a bias.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass
from onnxscript.rewriter import RewriteRuleSet
from onnxscript.rewriter.rules.common import fuse_batchnorm_into_conv_rule

from exporters.layers.graph import constant
from exporters.ops import initializer


class FoldBatchNorm(ir.passes.InPlacePass):
    """BatchNormalization ∘ Conv → Conv."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Apply the rewriter's rule, then give a zero bias to layers that have none."""
        count = RewriteRuleSet([fuse_batchnorm_into_conv_rule]).apply_to_model(model)
        RemoveUnusedNodesPass()(model)
        biased = [_add_bias(model.graph, node) for node in model.graph if node.op_type in ("Conv", "Gemm")]
        return ir.passes.PassResult(model, count > 0 or any(biased))


def _add_bias(graph: ir.Graph, node: ir.Node) -> bool:
    # One form for all layers: what follows need not treat "no bias" as a case of its own.
    weight = constant(node.inputs[1])
    if weight is None or (len(node.inputs) > 2 and node.inputs[2] is not None):
        return False
    transposed = node.op_type == "Gemm" and not ("transB" in node.attributes and node.attributes["transB"].as_int())
    zeros = np.zeros(weight.shape[1 if transposed else 0], weight.dtype)
    name = f"{node.outputs[0].name}.zero_bias"
    bias = initializer(name, zeros)
    graph.register_initializer(bias)
    node.resize_inputs(3)
    node.replace_input_with(2, bias)
    return True
