"""Conversion of dense ONNX to the one file: sparse weights in ops of ``chita.edge``, with bodies in standard ONNX."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx

from exporters.layers import Decide, FloatDtype, SparseModel
from exporters.network import NetworkRule
from exporters.ops import DOMAIN, OPSET, find_op
from exporters.serialize import to_proto

if TYPE_CHECKING:
    import onnx_ir as ir


def to_sparse(
    dense: onnx.ModelProto,
    select: Decide | NetworkRule,
    weight_dtype: FloatDtype = "float32",
    compute_dtype: FloatDtype = "float32",
    cache_bytes: int | None = None,
    *,
    apart: bool = False,
) -> SparseModel:
    """Store the layers that ``select`` picks as CSR or N:M, in ops of ours.

    dense: of :func:`exporters.to_onnx` or any other exporter, left as it was; :mod:`exporters.from_onnx` says what is
    made of others' forms. It is parsed once. select: is asked for each layer, or is shown the whole network first.
    weight_dtype: of the non-zeros; a layer keeps float32 where float16 would change a channel's weights by more than
    rounding does, and its report says so. compute_dtype: with "float16", kernels may multiply and add in float16 in
    convolutions that are stored as CSR with float16 values; elsewhere it is float32. cache_bytes: of the cache that a
    core of the target has; where activations exceed half of it, runs of layers become one node
    (:mod:`exporters.passes.chain`), and so do neighbouring small layers (:mod:`exporters.passes.sequence`); None: each
    layer stays a node. apart: also give the model in which each small layer stays a node, which a profile can time.
    Every Conv, Gemm and MatMul with a constant weight is reported. When nothing is picked the model equals ``dense``.
    Raises NonFiniteWeightsError, naming the layer, and UnsupportedModelError for weights other than float32 and for
    operator sets that ONNX cannot convert.
    """
    from exporters.from_onnx import to_graph
    from exporters.passes.chain import Chain
    from exporters.passes.fold_pads import FoldPads
    from exporters.passes.fold_scales import FoldScales
    from exporters.passes.fold_views import FoldViews
    from exporters.passes.join_heights import JoinHeights
    from exporters.passes.keep_pools import KeepPools
    from exporters.passes.sequence import Sequence
    from exporters.passes.sparsify import Sparsify

    model = to_graph(dense)
    FoldViews()(model)
    FoldScales()(model)
    sparsify = Sparsify(select, weight_dtype, compute_dtype)
    changed = sparsify(model).modified
    if not changed:
        copy = onnx.ModelProto.FromString(dense.SerializeToString())
        return SparseModel(copy, sparsify.reports, copy if apart else None)
    FoldPads()(model)
    JoinHeights()(model)
    KeepPools()(model)
    if cache_bytes is not None:
        Chain(cache_bytes)(model)
    single = with_bodies(model) if apart else None
    joined = cache_bytes is not None and Sequence()(model).modified
    return SparseModel(single if single is not None and not joined else with_bodies(model), sparsify.reports, single)


def with_bodies(model: ir.Model) -> onnx.ModelProto:
    """The model with the function bodies of the ops of ours that are in it."""
    from exporters.from_onnx import opset_of

    proto = to_proto(model)
    used = {(node.op_type, node.overload) for node in proto.graph.node if node.domain == DOMAIN}
    used -= {(function.name, function.overload) for function in proto.functions}  # of a file that is sparse already
    opset = opset_of(proto) or OPSET
    proto.functions.extend(op.body(opset) for name in sorted(used) if (op := find_op(*name)) is not None)
    return proto
