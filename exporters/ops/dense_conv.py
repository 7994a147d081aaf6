"""DenseConv: convolution with a dense weight, then an activation, in our layout.

Y = activation(X ∗ W + bias), W of shape (M, C, kh, kw), one group. The stem of a sparse network is this op and not
ONNX's Conv, whose output ORT would make in the blocked layout of its own convolutions and reorder afterwards.
"""

from __future__ import annotations

from exporters.ops._op import with_each_activation
from exporters.ops._text import CONV_ATTRIBUTES, WINDOW

DENSE_CONVS = with_each_activation(
    "DenseConv", ("X", "W", "bias"), ("W", "bias"), f"Z = Conv <{CONV_ATTRIBUTES}> (X, W, bias)", WINDOW
)
DENSE_CONV = DENSE_CONVS[0]
