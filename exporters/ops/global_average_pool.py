"""GlobalAveragePool: ONNX's, but always in our layout.

ONNX Runtime brings the input of its own into the blocked layout of its convolutions first, which takes longer than the
means.
"""

from __future__ import annotations

from exporters.ops._op import EdgeOp
from exporters.ops._text import function

GLOBAL_AVERAGE_POOL = EdgeOp(
    "GlobalAveragePool",
    None,
    ("X",),
    (),
    function("GlobalAveragePool", (), ("X",), "Y = GlobalAveragePool (X)"),
)
