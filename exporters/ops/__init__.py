"""The ops of the domain ``chita.edge``, version 1: one file an op, one line a registration."""

from __future__ import annotations

from exporters.ops._op import EdgeOp, Part, build_node, csr_constants, initializer, nm_constants
from exporters.ops._text import ACTIVATIONS, DOMAIN, OPSET, VERSION, Activation
from exporters.ops.block_csr_conv import BLOCK_CSR_CONV_ADDS, BLOCK_CSR_CONVS
from exporters.ops.conv_chain import CHAINS
from exporters.ops.conv_sequence import NAMES as SEQUENCES
from exporters.ops.conv_sequence import sequence_op
from exporters.ops.csr_conv import CSR_CONV, CSR_CONVS
from exporters.ops.csr_conv_add import CSR_CONV_ADD, CSR_CONV_ADDS
from exporters.ops.csr_gemm import CSR_GEMM, CSR_GEMMS
from exporters.ops.dense_conv import DENSE_CONV, DENSE_CONVS
from exporters.ops.depthwise_conv import DEPTHWISE_CONV, DEPTHWISE_CONVS
from exporters.ops.global_average_pool import GLOBAL_AVERAGE_POOL
from exporters.ops.nm_conv import NM_CONV_ADDS, NM_CONVS, NM_GEMMS
from exporters.ops.q_sequence import NAMES as Q_SEQUENCES
from exporters.ops.q_sequence import q_sequence_op

OPS: dict[str, EdgeOp] = {
    op.name: op
    for op in (
        *BLOCK_CSR_CONVS,
        *BLOCK_CSR_CONV_ADDS,
        *CSR_CONVS,
        *CSR_CONV_ADDS,
        *CSR_GEMMS,
        *DENSE_CONVS,
        *DEPTHWISE_CONVS,
        GLOBAL_AVERAGE_POOL,
        *NM_CONVS,
        *NM_CONV_ADDS,
        *NM_GEMMS,
        *CHAINS.values(),
    )
}


def find_op(name: str, overload: str = "") -> EdgeOp | None:
    """The op of a node or a function in a file; None where there is none."""
    if name in SEQUENCES:
        return sequence_op(overload, name)
    if name in Q_SEQUENCES:
        return q_sequence_op(overload, name)
    return OPS.get(name) if not overload else None


def op_for(base: str, activation: Activation) -> EdgeOp:
    """The variant of an op."""
    return OPS[base + ACTIVATIONS[activation].suffix]


__all__ = [
    "CHAINS",
    "CSR_CONV",
    "CSR_CONV_ADD",
    "CSR_GEMM",
    "DENSE_CONV",
    "DEPTHWISE_CONV",
    "DOMAIN",
    "GLOBAL_AVERAGE_POOL",
    "OPS",
    "OPSET",
    "Q_SEQUENCES",
    "SEQUENCES",
    "VERSION",
    "Activation",
    "EdgeOp",
    "Part",
    "build_node",
    "csr_constants",
    "find_op",
    "initializer",
    "nm_constants",
    "op_for",
]
