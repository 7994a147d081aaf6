"""CsrGemm: linear layer whose weight is CSR, then a clip.

Y = clip(X Wᵀ + bias). X is float32 (N, K), W has weight_shape (M, K); a CSR row is an output.
"""

from __future__ import annotations

from exporters.ops._op import EdgeOp
from exporters.ops._text import CLIP, CLIP_DEFAULTS, CSR_TO_DENSE, function
from exporters.ops.csr_conv import CONSTANTS

CSR_GEMM = EdgeOp(
    "CsrGemm",
    ("X", *CONSTANTS),
    CONSTANTS,
    function(
        "CsrGemm",
        CLIP_DEFAULTS,
        "X, values, col_idx, row_ptr, weight_shape, bias",
        f"{CSR_TO_DENSE} Z = Gemm <transB = 1> (X, W, bias) {CLIP}",
    ),
)
