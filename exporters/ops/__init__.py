"""The ops of the domain ``chita.edge``, version 1: one file an op, one line a registration."""

from __future__ import annotations

from exporters.ops._op import EdgeOp, build_node, csr_constants, initializer
from exporters.ops._text import DOMAIN, OPSET, VERSION
from exporters.ops.csr_conv import CSR_CONV
from exporters.ops.csr_conv_add import CSR_CONV_ADD
from exporters.ops.csr_gemm import CSR_GEMM
from exporters.ops.dense_conv import DENSE_CONV
from exporters.ops.depthwise_conv import DEPTHWISE_CONV

OPS: dict[str, EdgeOp] = {
    op.name: op
    for op in (
        CSR_CONV,
        CSR_CONV_ADD,
        CSR_GEMM,
        DENSE_CONV,
        DEPTHWISE_CONV,
    )
}

__all__ = [
    "CSR_CONV",
    "CSR_CONV_ADD",
    "CSR_GEMM",
    "DENSE_CONV",
    "DEPTHWISE_CONV",
    "DOMAIN",
    "OPS",
    "OPSET",
    "VERSION",
    "EdgeOp",
    "build_node",
    "csr_constants",
    "initializer",
]
