"""Layers that hold weights and that no op of ours can replace, each with its reason: recurrent layers, embeddings, ….

The layers of :mod:`exporters.layers.find` say their reason themselves.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from exporters.layers.graph import constant
from exporters.layers.info import ExportedLayer
from exporters.layers.weighted_ops import LEFT, PLACES, REASONS, is_weight
from exporters.weights.dtypes import Array


def report_other(node: ir.Node) -> list[ExportedLayer]:
    """A row for each constant weight of a node that is no layer of ours; none for nodes without."""
    if node.domain or node.op_type not in PLACES:
        return []
    rows = []
    for place, suffix in PLACES[node.op_type].items():
        reason = REASONS.get(node.op_type, LEFT if node.op_type == "MatMul" and place == 0 else "")
        weight = constant(node.inputs[place]) if reason and place < len(node.inputs) else None
        if weight is not None and is_weight(node.op_type, place, weight.ndim, _is_float(weight)):
            rows.append(_row(node, suffix, weight, reason))
    return rows


def _is_float(weight: Array) -> bool:
    return weight.dtype.kind == "f" or weight.dtype.name == "bfloat16"


def _row(node: ir.Node, suffix: str, weight: Array, reason: str) -> ExportedLayer:
    nnz = int(np.count_nonzero(weight))
    return ExportedLayer(
        name=(node.name or node.op_type) + suffix,
        op=node.op_type,
        shape=tuple(weight.shape),
        sparsity=1 - nnz / max(weight.size, 1),
        nnz=nnz,
        format="dense",
        reason=reason,
        bytes_dense=int(weight.nbytes),
        bytes=int(weight.nbytes),
        macs_dense=0,
        macs=0,
    )
