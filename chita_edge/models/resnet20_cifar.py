"""ResNet-20 for CIFAR images (He et al. 2016, arXiv 1512.03385, section 4.2), 1×1 convolutions in its shortcuts."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

# Channels and stride of the first block of each of the three stages.
_STAGES = ((16, 1), (32, 2), (64, 2))
_BLOCKS_PER_STAGE = 3


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut; the shortcut is a strided 1×1 convolution when the shape changes."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or in_channels != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Activations (batch, channels, height / stride, width / stride)."""
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        return cast("torch.Tensor", self.relu(self.bn2(self.conv2(out)) + identity))


class ResNet20Cifar(nn.Module):
    """ResNet-20 classifier, parameters named in torchvision's manner: ``layer1.0.conv1.weight`` … ``fc.bias``.

    Input: float32 (batch, 3, 32, 32). Output: logits (batch, num_classes).
    """

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        channels = _STAGES[0][0]
        self.conv1 = nn.Conv2d(3, channels, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        stages = []
        for out_channels, stride in _STAGES:
            blocks = [BasicBlock(channels, out_channels, stride)]
            blocks += [BasicBlock(out_channels, out_channels, 1) for _ in range(_BLOCKS_PER_STAGE - 1)]
            stages.append(nn.Sequential(*blocks))
            channels = out_channels
        self.layer1, self.layer2, self.layer3 = stages
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (batch, num_classes) of images (batch, 3, 32, 32)."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return cast("torch.Tensor", self.fc(torch.flatten(self.avgpool(x), 1)))
