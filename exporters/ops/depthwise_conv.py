"""DepthwiseConv: one kernel per channel, then an activation, in our layout.

Y[:, c] = activation(X[:, c] ∗ W[c] + bias[c]), W of shape (C, 1, kh, kw). The attribute ``group`` is C: ONNX's Conv
takes the number of groups from an attribute only, so the function body needs it; kernels may ignore it.
"""

from __future__ import annotations

from exporters.ops._op import with_each_activation
from exporters.ops._text import CONV_ATTRIBUTES, WINDOW

DEPTHWISE_CONVS = with_each_activation(
    "DepthwiseConv",
    ("X", "W", "bias"),
    ("W", "bias"),
    f"Z = Conv <{CONV_ATTRIBUTES}, group: int = @group> (X, W, bias)",
    (*WINDOW, "group"),
)
DEPTHWISE_CONV = DEPTHWISE_CONVS[0]
