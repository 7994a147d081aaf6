"""CsrConvAdd: CsrConv with a residual added before the clip.

Y = clip(X ∗ W + bias + residual); residual has Y's shape. An op of its own and not an optional input of CsrConv: a
function body cannot tell whether an optional input is there without a branch, and a branch would keep runtimes from
fusing.
"""

from __future__ import annotations

from exporters.ops._op import EdgeOp
from exporters.ops._text import CLIP, CLIP_DEFAULTS, CONV_ATTRIBUTES, CSR_TO_DENSE, function
from exporters.ops.csr_conv import CONSTANTS

CSR_CONV_ADD = EdgeOp(
    "CsrConvAdd",
    ("X", *CONSTANTS, "residual"),
    CONSTANTS,
    function(
        "CsrConvAdd",
        f"strides, pads, dilations, {CLIP_DEFAULTS}",
        "X, values, col_idx, row_ptr, weight_shape, bias, residual",
        f"{CSR_TO_DENSE} product = Conv <{CONV_ATTRIBUTES}> (X, W, bias) Z = Add (product, residual) {CLIP}",
    ),
)
