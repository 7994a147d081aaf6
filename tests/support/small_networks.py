"""Small networks with every kind of step that quantisation knows, with weights that make their outputs vary."""

from __future__ import annotations

import torch
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
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.3, 0.6)
            module.momentum = None
    with torch.no_grad():
        model.train()(pictures(64, seed + 1))
    return model.eval()


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
