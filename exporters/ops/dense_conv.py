"""DenseConv: convolution with a dense weight, then a clip, in our layout.

Y = clip(X ∗ W + bias), W of shape (M, C, kh, kw), one group. The stem of a sparse network is this op and not ONNX's
Conv, whose output ORT would make in the blocked layout of its own convolutions and reorder afterwards.
"""

from __future__ import annotations

from exporters.ops._op import EdgeOp
from exporters.ops._text import CLIP, CLIP_DEFAULTS, CONV_ATTRIBUTES, function

DENSE_CONV = EdgeOp(
    "DenseConv",
    ("X", "W", "bias"),
    ("W", "bias"),
    function(
        "DenseConv",
        f"strides, pads, dilations, {CLIP_DEFAULTS}",
        "X, W, bias",
        f"Z = Conv <{CONV_ATTRIBUTES}> (X, W, bias) {CLIP}",
    ),
)
