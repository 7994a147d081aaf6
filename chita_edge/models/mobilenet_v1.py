"""MobileNetV1: depthwise-separable convolutions (Howard et al. 2017, arXiv 1704.04861, table 1)."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

# Output channels at width 1.0 and stride of each depthwise-separable block (table 1 of the paper).
_BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *((512, 1),) * 5,
    (1024, 2),
    (1024, 1),
)
_STEM_CHANNELS = 32


def _conv_bn_relu6(in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU6, named ``0, 1, 2`` as in torchvision's ``Conv2dNormActivation``."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU6(inplace=True),
    )


class MobileNetV1(nn.Module):
    """MobileNetV1 classifier.

    Parameters are named in torchvision's manner: ``features.0.{0,1}`` is the stem, ``features.B.0.{0,1}`` the depthwise
    and ``features.B.1.{0,1}`` the 1×1 half of block ``B``, ``classifier.1`` the linear layer.

    Input: float32 (batch, in_channels, height, width), sides a multiple of 32. Output: logits (batch, num_classes).
    """

    def __init__(self, width: float = 1.0, num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.0) -> None:
        super().__init__()

        def scaled(channels: int) -> int:
            return max(8, int(channels * width))

        channels = scaled(_STEM_CHANNELS)
        layers: list[nn.Module] = [_conv_bn_relu6(in_channels, channels, kernel=3, stride=2)]
        for out_channels_full, stride in _BLOCKS:
            out_channels = scaled(out_channels_full)
            layers.append(
                nn.Sequential(
                    _conv_bn_relu6(channels, channels, kernel=3, stride=stride, groups=channels),
                    _conv_bn_relu6(channels, out_channels, kernel=1),
                )
            )
            channels = out_channels
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels, num_classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (batch, num_classes) of images (batch, in_channels, height, width)."""
        pooled = self.features(x).mean((2, 3))
        return cast("torch.Tensor", self.classifier(pooled))
