"""CsrConvAdd: CsrConv with a residual added before the activation.

Y = activation(X ∗ W + bias + residual); residual has Y's shape. An op of its own and not an optional input of CsrConv:
a function body cannot tell whether an optional input is there without a branch, and a branch would keep runtimes from
fusing.
"""

from __future__ import annotations

from exporters.ops._op import with_each_activation
from exporters.ops._text import CONV_ATTRIBUTES, CSR_TO_DENSE, WINDOW
from exporters.ops.csr_conv import CONSTANTS

CSR_CONV_ADDS = with_each_activation(
    "CsrConvAdd",
    ("X", *CONSTANTS, "residual"),
    CONSTANTS,
    f"{CSR_TO_DENSE} product = Conv <{CONV_ATTRIBUTES}> (X, W, bias) Z = Add (product, residual)",
    WINDOW,
)
CSR_CONV_ADD = CSR_CONV_ADDS[0]
