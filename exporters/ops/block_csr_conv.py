"""BlockCsrConv and BlockCsrConvAdd: CsrConv and CsrConvAdd whose output channels share their columns in blocks.

values has shape (nnz, b), b 2 or 4; a row of col_idx and row_ptr is a block of b output channels, so row_ptr has
M / b + 1 entries. Ops of their own and not a form of CsrConv: a library that does not know them runs the function body.
"""

from __future__ import annotations

from exporters.ops._op import with_each_activation
from exporters.ops._text import BLOCKS_TO_DENSE, CONV_ATTRIBUTES, WINDOW
from exporters.ops.csr_conv import CONSTANTS

BLOCK_CSR_CONVS = with_each_activation(
    "BlockCsrConv", ("X", *CONSTANTS), CONSTANTS, f"{BLOCKS_TO_DENSE} Z = Conv <{CONV_ATTRIBUTES}> (X, W, bias)", WINDOW
)
BLOCK_CSR_CONV_ADDS = with_each_activation(
    "BlockCsrConvAdd",
    ("X", *CONSTANTS, "residual"),
    CONSTANTS,
    f"{BLOCKS_TO_DENSE} product = Conv <{CONV_ATTRIBUTES}> (X, W, bias) Z = Add (product, residual)",
    WINDOW,
)
