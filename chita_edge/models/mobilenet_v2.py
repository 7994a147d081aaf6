"""MobileNetV2: inverted residuals with linear bottlenecks (Sandler et al. 2018, arXiv 1801.04381, table 2)."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from chita_edge.models.channels import round_channels

# Expansion, output channels at width 1.0, number of blocks, stride of the first one.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_STEM_CHANNELS = 32
_LAST_CHANNELS = 1280


def _conv_bn_relu6(in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU6(inplace=True),
    )


class InvertedResidual(nn.Module):
    """1×1 expansion (unless 1), 3×3 depthwise, 1×1 without activation; a shortcut where the shape stays."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = in_channels * expansion
        layers: list[nn.Module] = [] if expansion == 1 else [_conv_bn_relu6(in_channels, inner, kernel=1)]
        layers += [
            _conv_bn_relu6(inner, inner, kernel=3, stride=stride, groups=inner),
            nn.Conv2d(inner, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        ]
        self.conv = nn.Sequential(*layers)
        self.has_shortcut = stride == 1 and in_channels == out_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Activations (batch, out_channels, height / stride, width / stride)."""
        out = self.conv(x)
        return cast("torch.Tensor", x + out if self.has_shortcut else out)


class MobileNetV2(nn.Module):
    """MobileNetV2 classifier with torchvision's parameter names: ``features.1.conv.0.0.weight`` …

    Input: float32 (batch, in_channels, height, width), sides a multiple of 32. Output: logits (batch, num_classes).
    """

    def __init__(self, width: float = 1.0, num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.2) -> None:
        super().__init__()
        channels = round_channels(_STEM_CHANNELS * width)
        features: list[nn.Module] = [_conv_bn_relu6(in_channels, channels, kernel=3, stride=2)]
        for expansion, full_channels, count, first_stride in _STAGES:
            out_channels = round_channels(full_channels * width)
            for index in range(count):
                stride = first_stride if index == 0 else 1
                features.append(InvertedResidual(channels, out_channels, stride, expansion))
                channels = out_channels
        last = round_channels(_LAST_CHANNELS * max(1.0, width))
        features.append(_conv_bn_relu6(channels, last, kernel=1))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(last, num_classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (batch, num_classes) of images (batch, in_channels, height, width)."""
        pooled = self.features(x).mean((2, 3))
        return cast("torch.Tensor", self.classifier(pooled))
