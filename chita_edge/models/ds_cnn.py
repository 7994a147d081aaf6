"""DS-CNN: keyword spotting from spectra by depthwise-separable convolutions (Zhang et al. 2017, arXiv 1711.07128).

"Hello Edge"'s three sizes; the small one is the keyword-spotting network of MLPerf Tiny (Banbury et al. 2021).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import nn


@dataclass(frozen=True)
class _Size:
    """Channels, depthwise-separable blocks, and the strides (time, frequency) of the first two convolutions."""

    channels: int
    blocks: int
    stem_stride: tuple[int, int]
    block_stride: tuple[int, int]


SIZES = {
    "small": _Size(64, 4, (2, 2), (1, 1)),
    "medium": _Size(172, 4, (2, 1), (2, 2)),
    "large": _Size(276, 5, (2, 1), (2, 2)),
}
_STEM_KERNEL = (10, 4)
_KERNEL = (3, 3)


def _same(
    in_channels: int,
    out_channels: int,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    sides: tuple[int, int],
    groups: int = 1,
) -> list[nn.Module]:
    """Padding as TensorFlow's "SAME" has it for inputs of these sides, convolution, batch norm, ReLU."""
    before, after = [], []
    for side, k, step in zip(sides, kernel, stride, strict=True):
        total = max(0, (-(-side // step) - 1) * step + k - side)
        before.append(total // 2)
        after.append(total - total // 2)
    even = before == after
    padding = (before[0], before[1]) if even else (0, 0)
    return [
        *([] if even else [nn.ZeroPad2d((before[1], after[1], before[0], after[0]))]),
        nn.Conv2d(in_channels, out_channels, kernel, stride, padding, groups=groups),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    ]


class DsCnn(nn.Module):
    """DS-CNN classifier of spectra, 49 frames of 10 coefficients unless told otherwise.

    ``features.0`` is the stem, ``features.B.0`` the depthwise and ``features.B.1`` the 1×1 half of block ``B``,
    ``classifier.1`` the linear layer. Convolutions have biases beside their batch norms, as the published networks do.

    Input: float32 (batch, 1, frames, coefficients). Output: logits (batch, num_classes).
    """

    def __init__(
        self, size: str = "small", num_classes: int = 12, frames: int = 49, coefficients: int = 10, dropout: float = 0.4
    ) -> None:
        super().__init__()
        form = SIZES[size]
        channels, sides, stride = form.channels, (frames, coefficients), form.stem_stride
        layers = [nn.Sequential(*_same(1, channels, _STEM_KERNEL, stride, sides))]
        for block in range(form.blocks):
            sides = (-(-sides[0] // stride[0]), -(-sides[1] // stride[1]))
            stride = form.block_stride if block == 0 else (1, 1)
            layers.append(
                nn.Sequential(
                    nn.Sequential(*_same(channels, channels, _KERNEL, stride, sides, groups=channels)),
                    nn.Sequential(*_same(channels, channels, (1, 1), (1, 1), sides)),
                )
            )
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels, num_classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (batch, num_classes) of spectra (batch, 1, frames, coefficients)."""
        return cast("torch.Tensor", self.classifier(self.features(x).mean((2, 3))))
