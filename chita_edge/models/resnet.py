"""ResNet-50 (He et al. 2016, arXiv 1512.03385, table 1), the stride on the 3×3 convolution as torchvision has it."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

_EXPANSION = 4
# Channels inside the bottleneck, number of blocks, stride of the first one.
_STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))


class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1 convolutions and a shortcut; the shortcut is a 1×1 convolution when the shape changes."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        out_channels = channels * _EXPANSION
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Activations (batch, 4 · channels, height / stride, width / stride)."""
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        return cast("torch.Tensor", self.relu(self.bn3(self.conv3(out)) + identity))


class ResNet50(nn.Module):
    """ResNet-50 classifier with torchvision's parameter names: ``layer1.0.downsample.0.weight`` … ``fc.bias``.

    Input: float32 (batch, in_channels, height, width), sides a multiple of 32. Output: logits (batch, num_classes).
    """

    def __init__(self, num_classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__()
        channels = _STAGES[0][0]
        self.conv1 = nn.Conv2d(in_channels, channels, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        stages = []
        for inner, count, stride in _STAGES:
            blocks = [Bottleneck(channels, inner, stride)]
            channels = inner * _EXPANSION
            blocks += [Bottleneck(channels, inner, 1) for _ in range(count - 1)]
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (batch, num_classes) of images (batch, in_channels, height, width)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return cast("torch.Tensor", self.fc(torch.flatten(self.avgpool(x), 1)))
