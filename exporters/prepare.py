"""Any exporter's ONNX model → one form: today's operator set, float32, constants folded, names and shapes known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx

if TYPE_CHECKING:
    import onnx_ir as ir

# Whatever is constant is folded, weights that a graph transposes or makes from a shape too.
_ANY_SIZE = 1 << 40


def prepare(dense: onnx.ModelProto, *, fold_batch_norm: bool = False) -> onnx.ModelProto:
    """The same network as :mod:`exporters.interpreter` and :func:`exporters.to_sparse` read it best.

    Older operator sets become today's, half precision float32, weights of any form initializers; nodes that pass on
    what they are given (Identity, Dropout) go. Inputs and outputs keep their names, types and open sizes.

    dense: from :func:`exporters.load`, left as it was. fold_batch_norm: also into the convolution before.
    Raises UnsupportedModelError where ONNX cannot convert the operator set.
    """
    import onnxscript.optimizer
    from onnx_ir.passes.common import IdentityEliminationPass, RemoveUnusedNodesPass

    from exporters.from_onnx import to_graph
    from exporters.passes import FoldBatchNorm
    from exporters.serialize import to_proto

    graph = to_graph(dense)
    _drop_dropout(graph)
    onnxscript.optimizer.fold_constants(
        graph, onnx_shape_inference=False, input_size_limit=_ANY_SIZE, output_size_limit=_ANY_SIZE
    )
    IdentityEliminationPass()(graph)
    if fold_batch_norm:
        FoldBatchNorm()(graph)
    RemoveUnusedNodesPass()(graph)
    return to_proto(graph)


def _drop_dropout(model: ir.Model) -> None:
    for node in model.graph:
        if node.op_type == "Dropout" and not node.domain and not any(one.uses() for one in node.outputs[1:]):
            node.op_type = "Identity"
            node.attributes.clear()
            node.resize_inputs(1)
            node.resize_outputs(1)
