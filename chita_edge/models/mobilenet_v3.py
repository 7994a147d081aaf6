"""MobileNetV3, large and small: squeeze-and-excitation and hard swish (Howard et al. 2019, arXiv 1905.02244)."""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import nn

from chita_edge.models.channels import round_channels


class _Block(NamedTuple):
    kernel: int
    inner: int
    out: int
    squeeze: bool
    hard_swish: bool
    stride: int


# Tables 1 and 2 of the paper: kernel, channels inside and after the block, squeeze-and-excitation, hard swish, stride.
_LARGE = (
    _Block(3, 16, 16, squeeze=False, hard_swish=False, stride=1),
    _Block(3, 64, 24, squeeze=False, hard_swish=False, stride=2),
    _Block(3, 72, 24, squeeze=False, hard_swish=False, stride=1),
    _Block(5, 72, 40, squeeze=True, hard_swish=False, stride=2),
    _Block(5, 120, 40, squeeze=True, hard_swish=False, stride=1),
    _Block(5, 120, 40, squeeze=True, hard_swish=False, stride=1),
    _Block(3, 240, 80, squeeze=False, hard_swish=True, stride=2),
    _Block(3, 200, 80, squeeze=False, hard_swish=True, stride=1),
    _Block(3, 184, 80, squeeze=False, hard_swish=True, stride=1),
    _Block(3, 184, 80, squeeze=False, hard_swish=True, stride=1),
    _Block(3, 480, 112, squeeze=True, hard_swish=True, stride=1),
    _Block(3, 672, 112, squeeze=True, hard_swish=True, stride=1),
    _Block(5, 672, 160, squeeze=True, hard_swish=True, stride=2),
    _Block(5, 960, 160, squeeze=True, hard_swish=True, stride=1),
    _Block(5, 960, 160, squeeze=True, hard_swish=True, stride=1),
)
_SMALL = (
    _Block(3, 16, 16, squeeze=True, hard_swish=False, stride=2),
    _Block(3, 72, 24, squeeze=False, hard_swish=False, stride=2),
    _Block(3, 88, 24, squeeze=False, hard_swish=False, stride=1),
    _Block(5, 96, 40, squeeze=True, hard_swish=True, stride=2),
    _Block(5, 240, 40, squeeze=True, hard_swish=True, stride=1),
    _Block(5, 240, 40, squeeze=True, hard_swish=True, stride=1),
    _Block(5, 120, 48, squeeze=True, hard_swish=True, stride=1),
    _Block(5, 144, 48, squeeze=True, hard_swish=True, stride=1),
    _Block(5, 288, 96, squeeze=True, hard_swish=True, stride=2),
    _Block(5, 576, 96, squeeze=True, hard_swish=True, stride=1),
    _Block(5, 576, 96, squeeze=True, hard_swish=True, stride=1),
)
_STEM_CHANNELS = 16
_HEAD_EXPANSION = 6  # of the last convolution, on the last block's channels
_SQUEEZED = 4  # a block's channels divided by those of its squeeze-and-excitation


def _conv_bn(
    in_channels: int,
    out_channels: int,
    kernel: int,
    activation: type[nn.Module] | None,
    stride: int = 1,
    groups: int = 1,
) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out_channels, eps=0.001, momentum=0.01),
    ]
    return nn.Sequential(*layers, *([] if activation is None else [activation(inplace=True)]))


class SqueezeExcitation(nn.Module):
    """A factor of each channel from the means of all, between 0 and 1 by a hard sigmoid."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.activation = nn.ReLU(inplace=True)
        self.scale_activation = nn.Hardsigmoid(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scaled activations, of the shape of ``x``."""
        scale = self.fc2(self.activation(self.fc1(self.avgpool(x))))
        return cast("torch.Tensor", self.scale_activation(scale) * x)


class InvertedResidual(nn.Module):
    """1×1 expansion (unless it has nothing to expand), depthwise, squeeze-and-excitation, 1×1; perhaps a shortcut."""

    def __init__(self, in_channels: int, inner: int, out_channels: int, form: _Block) -> None:
        super().__init__()
        activation: type[nn.Module] = nn.Hardswish if form.hard_swish else nn.ReLU
        layers: list[nn.Module] = [] if inner == in_channels else [_conv_bn(in_channels, inner, 1, activation)]
        layers.append(_conv_bn(inner, inner, form.kernel, activation, form.stride, groups=inner))
        if form.squeeze:
            layers.append(SqueezeExcitation(inner, round_channels(inner // _SQUEEZED)))
        layers.append(_conv_bn(inner, out_channels, 1, None))
        self.block = nn.Sequential(*layers)
        self.has_shortcut = form.stride == 1 and in_channels == out_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Activations (batch, out_channels, height / stride, width / stride)."""
        out = self.block(x)
        return cast("torch.Tensor", x + out if self.has_shortcut else out)


class _MobileNetV3(nn.Module):
    """A stem, the blocks of a table, a 1×1 convolution and two linear layers, with torchvision's parameter names."""

    def __init__(
        self, blocks: tuple[_Block, ...], last: int, width: float, num_classes: int, in_channels: int, dropout: float
    ) -> None:
        super().__init__()
        channels = round_channels(_STEM_CHANNELS * width)
        features: list[nn.Module] = [_conv_bn(in_channels, channels, 3, nn.Hardswish, stride=2)]
        for form in blocks:
            inner, out_channels = round_channels(form.inner * width), round_channels(form.out * width)
            features.append(InvertedResidual(channels, inner, out_channels, form))
            channels = out_channels
        features.append(_conv_bn(channels, _HEAD_EXPANSION * channels, 1, nn.Hardswish))
        hidden = round_channels(last * width)
        self.features = nn.Sequential(*features)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(_HEAD_EXPANSION * channels, hidden),
            nn.Hardswish(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(hidden, num_classes),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (batch, num_classes) of images (batch, in_channels, height, width)."""
        return cast("torch.Tensor", self.classifier(torch.flatten(self.avgpool(self.features(x)), 1)))


class MobileNetV3Large(_MobileNetV3):
    """MobileNetV3-large classifier: ``features.4.block.2.fc1.weight`` … ``classifier.3.bias``.

    Input: float32 (batch, in_channels, height, width), sides a multiple of 32. Output: logits (batch, num_classes).
    """

    def __init__(self, width: float = 1.0, num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.2) -> None:
        super().__init__(_LARGE, 1280, width, num_classes, in_channels, dropout)


class MobileNetV3Small(_MobileNetV3):
    """MobileNetV3-small classifier: ``features.1.block.1.fc1.weight`` … ``classifier.3.bias``.

    Input: float32 (batch, in_channels, height, width), sides a multiple of 32. Output: logits (batch, num_classes).
    """

    def __init__(self, width: float = 1.0, num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.2) -> None:
        super().__init__(_SMALL, 1024, width, num_classes, in_channels, dropout)
