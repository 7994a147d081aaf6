"""DepthwiseConv: one kernel per channel, then a clip, in our layout.

Y[:, c] = clip(X[:, c] ∗ W[c] + bias[c]), W of shape (C, 1, kh, kw). The attribute ``group`` is C: ONNX's Conv takes the
number of groups from an attribute only, so the function body needs it; kernels may ignore it.
"""

from __future__ import annotations

from exporters.ops._op import EdgeOp
from exporters.ops._text import CLIP, CLIP_DEFAULTS, CONV_ATTRIBUTES, function

DEPTHWISE_CONV = EdgeOp(
    "DepthwiseConv",
    ("X", "W", "bias"),
    ("W", "bias"),
    function(
        "DepthwiseConv",
        f"strides, pads, dilations, group, {CLIP_DEFAULTS}",
        "X, W, bias",
        f"Z = Conv <{CONV_ATTRIBUTES}, group: int = @group> (X, W, bias) {CLIP}",
    ),
)
