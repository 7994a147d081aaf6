"""Networks that split, shuffle or rearrange their channels."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from chita_edge.shrinking import channel_groups, remove_channels, zero_channels

IMAGES = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))


class Pixels(nn.Module):
    """Channels become pixels, as in super-resolution."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.head = nn.Conv2d(3, 8, 1), nn.Conv2d(2, 6, 1), nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.b(functional.pixel_shuffle(self.a(x), 2)).mean((2, 3)))


class Split(nn.Module):
    """A half goes through more layers, all is concatenated, as in YOLOv8."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.a, self.last = nn.Conv2d(3, 8, 1), nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(12, 6, 1)
        self.head = nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = self.stem(x).relu().chunk(2, 1)
        return self.head(self.last(torch.cat([left, right, self.a(right)], 1)).mean((2, 3)))


class Shuffled(nn.Module):
    """A split, a branch, a concatenation and a shuffle, as in ShuffleNetV2."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.branch, self.last = nn.Conv2d(3, 8, 1), nn.Conv2d(4, 4, 1), nn.Conv2d(8, 6, 1)
        self.head = nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = self.stem(x).chunk(2, 1)
        x = torch.cat([left, self.branch(right)], 1)
        x = x.unflatten(1, (2, -1)).transpose(1, 2).flatten(1, 2)
        return self.head(self.last(x).mean((2, 3)))


class Shared(nn.Module):
    """Two layers with one parameter, which can only lose a channel together."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c, self.head = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), nn.Conv2d(3, 5, 1), nn.Linear(5, 4)
        self.b.weight = self.a.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.c(self.b(self.a(x).relu()).relu()).relu().mean((2, 3)))


@pytest.mark.parametrize(("kind", "free"), [(Pixels, {"b"}), (Split, {"last"}), (Shuffled, {"last"}), (Shared, {"c"})])
def test_only_channels_that_can_go_one_by_one_are_in_groups(kind: type[nn.Module], free: set[str]) -> None:
    torch.manual_seed(0)
    net = kind().eval()
    groups = channel_groups(net, IMAGES)
    assert free <= {group.name for group in groups}
    for seed in range(5):
        rng = torch.Generator().manual_seed(seed)
        kept = {group.name: torch.rand(group.size, generator=rng) > 0.5 for group in groups}
        for keep in kept.values():
            keep[0] = True
        zeroed, smaller = copy.deepcopy(net), copy.deepcopy(net)
        for network in (zeroed, smaller):
            zero_channels(network, groups, kept)
        remove_channels(smaller, groups, kept)
        torch.testing.assert_close(smaller(IMAGES), zeroed(IMAGES), rtol=1e-4, atol=1e-5)
