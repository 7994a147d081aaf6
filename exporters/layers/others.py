"""Layers that hold weights and that no op of ours can replace, each with its reason: recurrent layers, embeddings, ….

The layers of :mod:`exporters.layers.find` say their reason themselves.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from exporters.layers.graph import constant
from exporters.layers.info import ExportedLayer
from exporters.weights.dtypes import Array

_RECURRENT = "it is a recurrent layer ({}), whose product with the state before is a step at a time"
_INTEGERS = "its weights are integers"
# Where an operator has its weights, what is added to the layer's name for each of several, and the reason.
_PLACES: dict[str, tuple[dict[int, str], str]] = {
    **{op: ({1: ".W", 2: ".R"}, _RECURRENT.format(op)) for op in ("GRU", "LSTM", "RNN")},
    **dict.fromkeys(("ConvInteger", "MatMulInteger"), ({1: ""}, _INTEGERS)),
    **dict.fromkeys(("QLinearConv", "QLinearMatMul"), ({3: ""}, _INTEGERS)),
    "DeformConv": ({1: ""}, "it is a deformable convolution"),
    "Gather": ({0: ""}, "it is an embedding, of which a run reads few rows"),
    "Einsum": ({0: ".0", 1: ".1"}, "it is an Einsum"),
    "MatMul": ({0: ""}, "its weight is on the left of the product"),
}


def report_other(node: ir.Node) -> list[ExportedLayer]:
    """A row for each constant weight of a node that is no layer of ours; none for nodes without."""
    if node.domain or node.op_type not in _PLACES:
        return []
    places, reason = _PLACES[node.op_type]
    rows = []
    for place, suffix in places.items():
        weight = constant(node.inputs[place]) if place < len(node.inputs) else None
        if weight is not None and weight.ndim > 1 and _is_weight(node, weight):
            rows.append(_row(node, suffix, weight, reason))
    return rows


def _is_weight(node: ir.Node, weight: Array) -> bool:
    """Whether the constant is of a type that weights have; a Gather of sizes and indices has none."""
    return weight.dtype.kind == "f" or weight.dtype.name == "bfloat16" or node.op_type != "Gather"


def _row(node: ir.Node, suffix: str, weight: Array, reason: str) -> ExportedLayer:
    nnz = int(np.count_nonzero(weight))
    size = max(weight.size, 1)
    return ExportedLayer(
        name=(node.name or node.op_type) + suffix,
        op=node.op_type,
        shape=tuple(weight.shape),
        sparsity=1 - nnz / size,
        nnz=nnz,
        format="dense",
        reason=reason,
        bytes_dense=int(weight.nbytes),
        bytes=int(weight.nbytes),
        macs_dense=0,
        macs=0,
    )
