"""Types of a quantised layer on its way into the file: candidate and decision."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from exporters.weights.blocks import WIDTH

QuantisedFormat = Literal["dense", "1x4", "2x4"]


@dataclass(frozen=True)
class QuantisedCandidate:
    """A layer of int8 weights, as ``select`` sees it.

    op: ``QConv``, ``QDepthwiseConv`` or ``QGemm``. kernel, stride: (height, width). out_pixels: output height × width
    for one image. sparsity: share of exact zeros among its weights. blocks: by format, the share of blocks of four
    input channels that hold a non-zero; empty for a depthwise layer, which is dense. groups: of a convolution with
    fewer groups than channels, whose ``dense`` form and blocks have the zeros between groups too.
    """

    name: str
    op: str
    out_channels: int
    in_channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    out_pixels: int
    nnz: int
    sparsity: float
    blocks: Mapping[QuantisedFormat, float] = field(default_factory=dict)
    groups: int = 1


@dataclass(frozen=True)
class QuantisedDecision:
    """Format of a layer, and why, in words for the manifest.

    ours, onnxruntime: predicted costs in one unit; a part of the network whose layers would cost more in ours than in
    ONNX Runtime's int8 stays in standard ONNX.
    """

    format: QuantisedFormat
    reason: str
    ours: float = 0.0
    onnxruntime: float = math.inf


def stored_share(layer: QuantisedCandidate, form: QuantisedFormat) -> float:
    """Bytes of a layer's weight in a form, by those of its weights in int8."""
    if form == "dense":
        return float(layer.groups)
    columns = -(-layer.in_channels // WIDTH) * math.prod(layer.kernel)
    index = 1 if columns <= 2**8 else 2 if columns <= 2**16 else 4
    size = WIDTH * int(form[0])
    return layer.groups * layer.blocks[form] * (size + index) / size


QuantisedDecide = Callable[[QuantisedCandidate], QuantisedDecision]


def fewest_bytes(layer: QuantisedCandidate) -> QuantisedDecision:
    """Rule that stores each layer in the fewest bytes."""
    forms: list[QuantisedFormat] = ["dense", *layer.blocks]
    best = min(forms, key=lambda form: stored_share(layer, form))
    share = stored_share(layer, best)
    return QuantisedDecision(best, f"{layer.sparsity:.0%} zeros: {share:.0%} of the bytes of dense int8")
