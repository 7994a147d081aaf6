"""CsrConv: convolution whose weight is CSR, then a clip.

Y = clip(X ∗ W + bias). X is NCHW float32 and W has weight_shape (M, C, kh, kw), one group; a CSR row is an output
channel, a column the flat (input channel, kh, kw) index.
"""

from __future__ import annotations

from exporters.ops._op import EdgeOp
from exporters.ops._text import CLIP, CLIP_DEFAULTS, CONV_ATTRIBUTES, CSR_TO_DENSE, function

CONSTANTS = ("values", "col_idx", "row_ptr", "weight_shape", "bias")

CSR_CONV = EdgeOp(
    "CsrConv",
    ("X", *CONSTANTS),
    CONSTANTS,
    function(
        "CsrConv",
        f"strides, pads, dilations, {CLIP_DEFAULTS}",
        "X, values, col_idx, row_ptr, weight_shape, bias",
        f"{CSR_TO_DENSE} Z = Conv <{CONV_ATTRIBUTES}> (X, W, bias) {CLIP}",
    ),
)
