"""Small networks with every way in which channels depend on each other."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from shorter import shorter
from torch import nn

from chita_edge.models import mobilenet_v2, resnet
from chita_edge.models.mobilenet_v1 import MobileNetV1
from chita_edge.models.mobilenet_v2 import MobileNetV2
from chita_edge.models.resnet import ResNet50
from chita_edge.models.resnet20_cifar import ResNet20Cifar


class Joined(nn.Module):
    """A concatenation, a flattened image, biases, and a channel-wise activation that is not zero at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Conv2d(1, 4, 3, padding=1)
        self.right = nn.Conv2d(1, 3, 3, padding=1)
        self.join = nn.Conv2d(7, 5, 1)
        self.classifier = nn.Linear(5 * 16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        both = torch.cat([self.left(x), self.right(x)], 1).sigmoid()
        return self.classifier(self.join(both).relu().flatten(1))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int]]] = {
    "joined": (Joined, (1, 4, 4)),
    "mobilenet_v1": (lambda: MobileNetV1(0.25, 10, 1), (1, 32, 32)),
    "mobilenet_v2": (
        shorter(lambda: MobileNetV2(1.0, 10), mobilenet_v2, _STAGES=((1, 16, 1, 1), (6, 24, 2, 2)), _LAST_CHANNELS=64),
        (3, 32, 32),
    ),
    "resnet20_cifar": (ResNet20Cifar, (3, 16, 16)),
    "resnet50": (
        shorter(lambda: ResNet50(10), resnet, _STAGES=((8, 2, 1), (16, 1, 2), (16, 1, 2), (32, 1, 2))),
        (3, 32, 32),
    ),
}


def _trained_looking(name: str) -> tuple[nn.Module, torch.Tensor]:
    """The network with batch-norm statistics and shifts unlike a new one's, and two images."""
    make, shape = NETWORKS[name]
    torch.manual_seed(0)
    model = make().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.uniform_(-0.3, 0.3)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.3, 0.3)
    return model, torch.randn(2, *shape)


@pytest.fixture(scope="session")
def network() -> Callable[[str], tuple[nn.Module, torch.Tensor]]:
    return _trained_looking
