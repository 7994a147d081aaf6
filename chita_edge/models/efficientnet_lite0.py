"""EfficientNet-Lite0: EfficientNet-B0 without squeeze-and-excitation, with ReLU6.

Blocks of Tan & Le 2019 (arXiv 1905.11946, table 1); stem and head of the published TensorFlow network keep their sizes.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

# Expansion, kernel, output channels, number of blocks, stride of the first one.
_STAGES = (
    (1, 3, 16, 1, 1),
    (6, 3, 24, 2, 2),
    (6, 5, 40, 2, 2),
    (6, 3, 80, 3, 2),
    (6, 5, 112, 3, 1),
    (6, 5, 192, 4, 2),
    (6, 3, 320, 1, 1),
)
_STEM_CHANNELS, _HEAD_CHANNELS = 32, 1280


def _same_conv(in_channels: int, out_channels: int, kernel: int, stride: int, groups: int = 1) -> nn.Conv2d:
    """Convolution, padded as TensorFlow's "SAME" pads even sides: at stride 2 more after the image than before it."""
    if stride == 1:
        return nn.Conv2d(in_channels, out_channels, kernel, 1, kernel // 2, groups=groups, bias=False)
    return _UnevenConv2d(in_channels, out_channels, kernel, stride, groups=groups, bias=False)


class _UnevenConv2d(nn.Conv2d):
    """Convolution of stride 2 that is padded by k − 2 in all, an odd number of which the larger half comes last."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 (torch's own name, which callers may use)
        """Activations (batch, out_channels, height / 2, width / 2) of even sides."""
        total = self.kernel_size[0] - 2
        before, after = total // 2, total - total // 2
        return super().forward(nn.functional.pad(input, (before, after, before, after)))


def _batch_norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class MBConv(nn.Module):
    """1×1 expansion (unless 1), depthwise, 1×1 without activation; a shortcut where the shape stays."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = in_channels * expansion
        self.has_expansion = expansion != 1
        if self.has_expansion:
            self._expand_conv = nn.Conv2d(in_channels, inner, 1, bias=False)
            self._bn0 = _batch_norm(inner)
        self._depthwise_conv = _same_conv(inner, inner, kernel, stride, groups=inner)
        self._bn1 = _batch_norm(inner)
        self._project_conv = nn.Conv2d(inner, out_channels, 1, bias=False)
        self._bn2 = _batch_norm(out_channels)
        self._relu6 = nn.ReLU6(inplace=True)
        self.has_shortcut = stride == 1 and in_channels == out_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Activations (batch, out_channels, height / stride, width / stride)."""
        out = self._relu6(self._bn0(self._expand_conv(x))) if self.has_expansion else x
        out = self._relu6(self._bn1(self._depthwise_conv(out)))
        out = self._bn2(self._project_conv(out))
        return cast("torch.Tensor", x + out if self.has_shortcut else out)


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 classifier, parameters named as in its published PyTorch weights.

    ``_conv_stem.weight``, ``_blocks.1._expand_conv.weight`` … ``_fc.bias``.

    Input: float32 (batch, in_channels, height, width), sides a multiple of 32. Output: logits (batch, num_classes).
    """

    def __init__(self, num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.2) -> None:
        super().__init__()
        channels = _STEM_CHANNELS
        self._conv_stem = _same_conv(in_channels, channels, 3, 2)
        self._bn0 = _batch_norm(channels)
        blocks = []
        for expansion, kernel, out_channels, count, first_stride in _STAGES:
            for index in range(count):
                blocks.append(MBConv(channels, out_channels, kernel, first_stride if index == 0 else 1, expansion))
                channels = out_channels
        self._blocks = nn.Sequential(*blocks)
        self._conv_head = nn.Conv2d(channels, _HEAD_CHANNELS, 1, bias=False)
        self._bn1 = _batch_norm(_HEAD_CHANNELS)
        self._relu6 = nn.ReLU6(inplace=True)
        self._dropout = nn.Dropout(dropout)
        self._fc = nn.Linear(_HEAD_CHANNELS, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (batch, num_classes) of images (batch, in_channels, height, width)."""
        x = self._blocks(self._relu6(self._bn0(self._conv_stem(x))))
        x = self._relu6(self._bn1(self._conv_head(x)))
        return cast("torch.Tensor", self._fc(self._dropout(x.mean((2, 3)))))
