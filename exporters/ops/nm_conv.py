"""NmConv, NmConvAdd and NmGemm: CsrConv, CsrConvAdd and CsrGemm with N:M weights whose indices are packed into bits.

Y is what the CSR op makes of the same weight. values has shape (M, groups, taps, n), index is uint8; the attribute m
is the number of input channels of a group (:mod:`exporters.weights.nm`). Ops of their own and not a form of the CSR
ones: a library that does not know them runs the function body.
"""

from __future__ import annotations

from exporters.ops._op import with_each_activation
from exporters.ops._text import CONV_ATTRIBUTES, NM_TO_DENSE, WINDOW

CONSTANTS = ("values", "index", "weight_shape", "bias")

NM_CONVS = with_each_activation(
    "NmConv", ("X", *CONSTANTS), CONSTANTS, f"{NM_TO_DENSE} Z = Conv <{CONV_ATTRIBUTES}> (X, W, bias)", (*WINDOW, "m")
)
NM_CONV_ADDS = with_each_activation(
    "NmConvAdd",
    ("X", *CONSTANTS, "residual"),
    CONSTANTS,
    f"{NM_TO_DENSE} product = Conv <{CONV_ATTRIBUTES}> (X, W, bias) Z = Add (product, residual)",
    (*WINDOW, "m"),
)
NM_GEMMS = with_each_activation(
    "NmGemm", ("X", *CONSTANTS), CONSTANTS, f"{NM_TO_DENSE} Z = Gemm <transB = 1> (X, W, bias)", ("m",)
)
