"""Dense ONNX → the one file: CSR weights in ops of ``chita.edge``, each with its meaning in standard ONNX beside it."""

from __future__ import annotations

import onnx

from exporters.layers import Decide, SparseModel, Values
from exporters.ops import DOMAIN, find_op
from exporters.serialize import to_proto


def to_sparse(
    dense: onnx.ModelProto,
    decide: Decide,
    values: Values = "float32",
    cache: int | None = None,
    arithmetic: Values = "float32",
    *,
    sequences: bool = True,
) -> SparseModel:
    """The network with the layers that ``decide`` picks as CSR.

    dense: from :func:`exporters.to_onnx`, left as it was. values: how the non-zeros are stored; a layer with a
    weight beyond float16's range keeps float32. arithmetic: with "float16", kernels may multiply and add in float16 in
    convolutions that are stored as CSR with float16 values; elsewhere it is float32. cache: bytes of cache that a
    core of the target has; where activations exceed half of it, runs of layers become one node
    (:mod:`exporters.passes.chain`), and, with ``sequences``, so do neighbouring small layers
    (:mod:`exporters.passes.sequence`); None: each layer stays a node. Every Conv and Gemm is reported. When nothing is
    picked the model equals ``dense``.
    Raises NonFiniteWeightsError, naming the layer, and UnsupportedModelError for weights other than float32.
    """
    import onnx_ir as ir

    from exporters.passes.chain import Chain
    from exporters.passes.keep_pools import KeepPools
    from exporters.passes.sequence import Sequence
    from exporters.passes.sparsify import Sparsify

    model = ir.from_proto(dense)
    sparsify = Sparsify(decide, values, arithmetic)
    changed = sparsify(model).modified
    if not changed:
        return SparseModel(onnx.ModelProto.FromString(dense.SerializeToString()), sparsify.reports)
    KeepPools()(model)
    if cache is not None:
        Chain(cache)(model)
        if sequences:
            Sequence()(model)
    proto = to_proto(model)
    used = {(node.op_type, node.overload) for node in proto.graph.node if node.domain == DOMAIN}
    proto.functions.extend(op.function for name in sorted(used) if (op := find_op(*name)) is not None)
    return SparseModel(proto, sparsify.reports)
