"""A fully convolutional network for series of sensors (Wang et al. 2017, arXiv 1611.06455)."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

_CHANNELS, _KERNELS = (128, 256, 128), (8, 5, 3)


class Fcn1d(nn.Module):
    """Classifier of series: three convolutions along the time, their mean over it, a linear layer.

    ``features.B.{0,1}`` are convolution and batch norm of block ``B``, ``classifier`` is the linear layer. The defaults
    are the paper's network; strides above 1 are for processors of watches, and make it cheaper by their product.

    Input: float32 (batch, in_channels, time). Output: logits (batch, num_classes).
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        width: float = 1.0,
        kernels: tuple[int, int, int] = _KERNELS,
        strides: tuple[int, int, int] = (1, 1, 1),
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = in_channels
        for full, kernel, stride in zip(_CHANNELS, kernels, strides, strict=True):
            out_channels = max(1, int(full * width))
            # "Same" padding of an even kernel is one longer after the series than before it.
            even = [] if kernel % 2 else [nn.ConstantPad1d((kernel // 2 - 1, kernel // 2), 0.0)]
            convolution = nn.Conv1d(channels, out_channels, kernel, stride, 0 if even else kernel // 2)
            block = (convolution, nn.BatchNorm1d(out_channels), nn.ReLU(inplace=True))
            layers += [*even, nn.Sequential(*block)]
            channels = out_channels
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (batch, num_classes) of series (batch, in_channels, time)."""
        return cast("torch.Tensor", self.classifier(self.features(x).mean(2)))
