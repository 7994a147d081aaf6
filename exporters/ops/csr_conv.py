"""CsrConv: convolution whose weight is CSR, then an activation.

Y = activation(X ∗ W + bias). X is NCHW float32 and W has weight_shape (M, C, kh, kw), one group; a CSR row is an output
channel, a column the flat (input channel, kh, kw) index.
"""

from __future__ import annotations

from exporters.ops._op import with_each_activation
from exporters.ops._text import CONV_ATTRIBUTES, CSR_TO_DENSE, WINDOW

CONSTANTS = ("values", "col_idx", "row_ptr", "weight_shape", "bias")

CSR_CONVS = with_each_activation(
    "CsrConv", ("X", *CONSTANTS), CONSTANTS, f"{CSR_TO_DENSE} Z = Conv <{CONV_ATTRIBUTES}> (X, W, bias)", WINDOW
)
CSR_CONV = CSR_CONVS[0]
