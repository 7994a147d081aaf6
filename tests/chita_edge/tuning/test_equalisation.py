from __future__ import annotations

import copy

import pytest
import torch
from small_networks import SmallMobile, SmallResidual, pictures, settled
from torch import nn

from chita_edge.tuning.equalisation import equalise_channels


@pytest.mark.parametrize("kind", [SmallResidual, SmallMobile])
def test_keeps_the_function_and_changes_weights(kind: type[nn.Module]) -> None:
    model, images = settled(kind), pictures(20)
    same = copy.deepcopy(model)
    told = equalise_channels(same, images)
    assert "equalised" in told
    assert "not" not in told
    with torch.no_grad():
        torch.testing.assert_close(same(images), model(images), rtol=1e-4, atol=1e-4)
    changed = [n for n, weight in same.named_parameters() if not torch.equal(weight, model.get_parameter(n))]
    assert len(changed) >= 4


class Plain(nn.Module):
    """Layers with and without bias, batch norm without weights, and one that a batch norm reads."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 1, bias=False), nn.Conv2d(8, 8, 1)
        self.norm, self.last = nn.BatchNorm2d(8, affine=False), nn.Conv2d(8, 4, 1, groups=2)
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.second(self.relu(self.first(x))))
        return self.last(self.relu(self.norm(self.third(x))))


def test_channels_that_were_scaled_come_out_alike() -> None:
    torch.manual_seed(0)
    model, images = Plain().eval(), torch.randn(10, 3, 8, 8)
    scaled = copy.deepcopy(model)
    factor = 2 ** (6 * torch.rand(8) - 3)
    with torch.no_grad():
        scaled.first.weight *= factor[:, None, None, None]
        scaled.first.bias *= factor
        scaled.second.weight /= factor[:, None, None]
    equalise_channels(model, images)
    assert equalise_channels(scaled, images) == "channels behind 2 layers equalised"
    for name, weight in model.named_parameters():
        ratio = scaled.get_parameter(name) / weight  # alike within a tensor; tensors keep their size
        torch.testing.assert_close(ratio, ratio.flatten()[0].expand_as(ratio), rtol=1e-3, atol=0)


def test_a_network_that_cannot_be_followed_stays_and_says_why() -> None:
    class Branching(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    told = equalise_channels(Branching(), pictures(2))
    assert told.startswith("channels not equalised: The network cannot be traced")
    assert "one floating-point input" in equalise_channels(Branching(), torch.zeros(2, 3, dtype=torch.int64))
