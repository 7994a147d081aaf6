"""CsrGemm: linear layer whose weight is CSR, then an activation.

Y = activation(X Wᵀ + bias). X is float32 (N, K), W has weight_shape (M, K); a CSR row is an output.
"""

from __future__ import annotations

from exporters.ops._op import with_each_activation
from exporters.ops._text import CSR_TO_DENSE
from exporters.ops.csr_conv import CONSTANTS

CSR_GEMMS = with_each_activation(
    "CsrGemm", ("X", *CONSTANTS), CONSTANTS, f"{CSR_TO_DENSE} Z = Gemm <transB = 1> (X, W, bias)"
)
CSR_GEMM = CSR_GEMMS[0]
