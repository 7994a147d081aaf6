"""Conversion of quantised ONNX to the one file: int8 layers in QSequence nodes, with bodies in standard QDQ ops."""

from __future__ import annotations

import onnx

from exporters.layers import SparseModel
from exporters.ops.q_sequence import OPSET
from exporters.qdq.info import QuantisedDecide, fewest_bytes

QUANTISED_OPS = frozenset(("QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul"))


def is_quantised(model: onnx.ModelProto) -> bool:
    """Whether :func:`to_sparse_int8` is for this model: it rounds activations to integers."""
    return any(node.op_type in QUANTISED_OPS for node in model.graph.node)


def to_sparse_int8(
    quantised: onnx.ModelProto, select: QuantisedDecide = fewest_bytes, *, apart: bool = False
) -> SparseModel:
    """Put the layers of a quantised network into QSequence nodes, their weights dense or in blocks.

    quantised: of any tool, as QDQ or QLinear ops, left as it was; uint8 or int8 activations with one scale a tensor,
    int8 weights with one a tensor or an output channel. Its integers are the file's integers: stock ONNX Runtime
    computes the same bits from both. select: is asked for each layer's format. Every Conv, Gemm and MatMul with a
    constant weight is reported, with the reason why it stays standard ONNX where it does. When no layer fits, the model
    equals ``quantised``. apart: also give the model in which each layer is a node of its own, which a profile can time;
    each of these nodes takes its values into the layout of the kernels and out of it.
    Raises UnsupportedModelError for operator sets that ONNX cannot convert.
    """
    from exporters.from_onnx import to_graph
    from exporters.passes.q_sequences import QSequences
    from exporters.qdq.from_qlinear import from_qlinear
    from exporters.sparse import with_bodies

    model = to_graph(from_qlinear(quantised), OPSET, every_shape=True)
    sequences = QSequences(select)
    if not sequences(model).modified:
        return SparseModel(onnx.ModelProto.FromString(quantised.SerializeToString()), sequences.reports)
    return SparseModel(with_bodies(model), sequences.reports, _apart(quantised, select) if apart else None)


def _apart(quantised: onnx.ModelProto, select: QuantisedDecide) -> onnx.ModelProto:
    from exporters.from_onnx import to_graph
    from exporters.passes.q_sequences import QSequences
    from exporters.qdq.from_qlinear import from_qlinear
    from exporters.sparse import with_bodies

    model = to_graph(from_qlinear(quantised), OPSET, every_shape=True)
    QSequences(select, most_products=1)(model)
    return with_bodies(model)
