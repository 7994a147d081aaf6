"""Operators that hold weights: which inputs they are, and why an operator has no sparse op of ours."""

from __future__ import annotations

from collections.abc import Mapping

_RECURRENT = "it is a recurrent layer ({}), whose product with the state before is a step at a time"
_INTEGERS = "its weights are integers"

PLACES: Mapping[str, Mapping[int, str]] = {
    **{op: {1: ""} for op in ("Conv", "ConvInteger", "ConvTranspose", "DeformConv", "Gemm", "MatMulInteger")},
    **{op: {1: ".W", 2: ".R"} for op in ("GRU", "LSTM", "RNN")},
    **{op: {3: ""} for op in ("QLinearConv", "QLinearMatMul")},
    "Einsum": {0: ".0", 1: ".1"},
    "Gather": {0: ""},
    "MatMul": {1: "", 0: ".left"},
}
"""By operator: the inputs that are weights where they are constants, and what is added to the layer's name for each."""

REASONS: Mapping[str, str] = {
    **{op: _RECURRENT.format(op) for op in ("GRU", "LSTM", "RNN")},
    **dict.fromkeys(("ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul"), _INTEGERS),
    "DeformConv": "it is a deformable convolution",
    "Einsum": "it is an Einsum",
    "Gather": "it is an embedding, of which a run reads few rows",
}
"""Why the layers of an operator stay dense, whatever they are; operators that are not here can be sparse."""

LEFT = "its weight is on the left of the product"


def is_weight(op: str, place: int, rank: int, is_float: bool) -> bool:
    """Whether a constant at that input is a weight: sizes, indices and factors are none."""
    first = op in ("Einsum", "Gather") or place == 0
    return (rank > 1 and is_float) if first else rank > 0
