"""Small networks with every kind of step that quantisation knows, with weights that make their outputs vary."""

from __future__ import annotations

from collections.abc import Callable

import torch
from mixed_networks import SmallMixedSeries
from torch import nn
from torch.nn import functional


class SmallResidual(nn.Module):
    """Stem, a block with a strided shortcut, pooling, concatenation, classifier; channels of unlike scales."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.first, self.first_norm = nn.Conv2d(8, 12, 3, stride=2, padding=1), nn.BatchNorm2d(12)
        self.second, self.second_norm = nn.Conv2d(12, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.shortcut, self.shortcut_norm = nn.Conv2d(8, 8, 1, stride=2), nn.BatchNorm2d(8)
        self.branch = nn.Conv2d(8, 4, 1)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.average = nn.AvgPool2d(2)
        self.classifier = nn.Linear(24, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.norm(self.stem(x)))
        y = functional.relu(self.first_norm(self.first(x)))
        y = functional.relu(self.second_norm(self.second(y)) + self.shortcut_norm(self.shortcut(x)))
        y = torch.cat((y, functional.relu(self.branch(y))), 1)
        y = torch.cat((self.pool(y), self.average(y)), 1)
        return self.classifier(y.mean((2, 3)))


class SmallMobile(nn.Module):
    """Depthwise-separable convolutions with ReLU6 and hard swish."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
        self.depthwise = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1, groups=8, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
        self.point = nn.Sequential(nn.Conv2d(8, 16, 1, bias=False), nn.BatchNorm2d(16), nn.Hardswish())
        self.dilated = nn.Sequential(nn.Conv2d(16, 8, 3, padding=2, dilation=2, groups=2), nn.ReLU())
        self.last = nn.Sequential(nn.Conv2d(8, 12, 1), nn.BatchNorm2d(12), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(), nn.Linear(12, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.last(self.dilated(self.point(self.depthwise(self.stem(x)))))
        return self.classifier(torch.flatten(self.pool(x), 1))


def settled(kind: type[nn.Module], seed: int = 0) -> nn.Module:
    """A network of this kind with random weights, and batch-norm statistics of random images; evaluation mode."""
    torch.manual_seed(seed)
    model = kind()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.3, 0.6)
            module.momentum = None
    with torch.no_grad():
        model.train()(inputs_of(kind)(64, seed + 1))
    return model.eval()


def inputs_of(kind: type[nn.Module]) -> Callable[[int, int], torch.Tensor]:
    """Makes so many random inputs of a kind of network, of a seed."""
    return series if kind in (SmallSeries, SmallRecording, SmallMixedSeries) else pictures


def pictures(count: int, seed: int = 0, side: int = 12) -> torch.Tensor:
    """Smooth random images (count, 3, side, side)."""
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 3, 4, 4, generator=rng)
    return functional.interpolate(coarse, size=(side, side), mode="bilinear") + 0.1 * torch.randn(
        count, 3, side, side, generator=rng
    )


class SmallExcited(nn.Module):
    """Inverted residual with a linear sum, squeeze and excite, SiLU, and more zeros after an image than before it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.SiLU())
        self.expand = nn.Sequential(nn.Conv2d(8, 16, 1), nn.BatchNorm2d(16), nn.ReLU())
        self.squeeze, self.excite = nn.Conv2d(16, 4, 1), nn.Conv2d(4, 16, 1)
        self.project = nn.Sequential(nn.Conv2d(16, 8, 1), nn.BatchNorm2d(8))
        self.classifier = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        y = self.expand(x)
        gate = functional.hardsigmoid(self.excite(functional.relu(self.squeeze(functional.adaptive_avg_pool2d(y, 1)))))
        return self.classifier((x + self.project(gate * y)).mean((2, 3)))


class SmallSeries(nn.Module):
    """Classifier of series: padding of every kind, a sum, a depthwise convolution, pools, batch norm of rows."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.ConstantPad1d((3, 4), 0.0), nn.Conv1d(3, 8, 8, 2), nn.BatchNorm1d(8), nn.ReLU())
        self.depthwise = nn.Sequential(nn.Conv1d(8, 8, 3, 1, 1, groups=8), nn.BatchNorm1d(8), nn.ReLU6())
        self.causal = nn.Conv1d(8, 8, 3, dilation=2)
        self.same = nn.Sequential(nn.Conv1d(8, 12, 3, padding="same"), nn.BatchNorm1d(12), nn.SiLU())
        self.largest, self.average = nn.MaxPool1d(3, 2, 1), nn.AvgPool1d(2)
        self.last = nn.Sequential(nn.Conv1d(24, 16, 1), nn.Dropout1d())
        self.pool = nn.AdaptiveAvgPool1d(1)
        self.head = nn.Sequential(nn.Linear(32, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.depthwise(self.stem(x))
        x = self.same(functional.relu(x + self.causal(functional.pad(x, (4, 0)))))
        x = functional.relu(self.last(torch.cat((self.largest(x), self.average(x)), 1)))
        return self.head(torch.cat((self.pool(x).squeeze(-1), x.amax(2)), 1))


class SmallRecording(nn.Module):
    """Series to series, as a denoiser or a labelling of each moment."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv1d(3, 8, 5, padding=2), nn.BatchNorm1d(8), nn.Hardswish())
        self.last = nn.Conv1d(8, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(functional.max_pool1d(self.first(x), 3, 1, 1))


def series(count: int, seed: int = 0, length: int = 40) -> torch.Tensor:
    """Smooth random series (count, 3, length)."""
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 3, 10, generator=rng)
    return functional.interpolate(coarse, size=length, mode="linear") + 0.1 * torch.randn(
        count, 3, length, generator=rng
    )
