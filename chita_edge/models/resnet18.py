"""ResNet-18 (He et al. 2016, arXiv 1512.03385, table 1)."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from chita_edge.models.resnet20_cifar import BasicBlock

# Channels and stride of the first block of each of the four stages.
_STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))


class ResNet18(nn.Module):
    """ResNet-18 classifier with torchvision's parameter names: ``layer2.0.downsample.0.weight`` … ``fc.bias``.

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
        for out_channels, stride in _STAGES:
            stages.append(
                nn.Sequential(BasicBlock(channels, out_channels, stride), BasicBlock(out_channels, out_channels, 1))
            )
            channels = out_channels
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (batch, num_classes) of images (batch, in_channels, height, width)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return cast("torch.Tensor", self.fc(torch.flatten(self.avgpool(x), 1)))
