from __future__ import annotations

import pytest
import torch
from torch import nn

from chita_edge.network.errors import CalibrationError
from chita_edge.tuning import recalibrate_batch_norm
from chita_edge.tuning.views import Augmentation


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Dropout(0.9), nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2))


def test_statistics_are_the_average_over_batches() -> None:
    net, images = network(), 3 + 2 * torch.randn(40, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    recalibrate_batch_norm(net, images, batch_size=40)
    with torch.no_grad():
        first = net[0](images)
        norm = net[1]
        torch.testing.assert_close(norm.running_mean, first.mean((0, 2, 3)))
        torch.testing.assert_close(norm.running_var, first.var((0, 2, 3)), rtol=1e-4, atol=1e-6)
        net.eval()
        normalised = (first - first.mean((0, 2, 3), keepdim=True)) / (
            first.var((0, 2, 3), keepdim=True, unbiased=False) + norm.eps
        ).sqrt()
        torch.testing.assert_close(net[4].running_mean, net[3](normalised).mean((0, 2, 3)), rtol=1e-4, atol=1e-5)


def test_restores_modes_and_momenta_even_after_an_error() -> None:
    net = network()
    net.train()
    net[1].eval()
    modes = [module.training for module in net.modules()]
    recalibrate_batch_norm(net, torch.randn(10, 1, 8, 8), views=2)
    assert [module.training for module in net.modules()] == modes
    with pytest.raises(CalibrationError, match="fails on 10 samples"):
        recalibrate_batch_norm(net, torch.randn(10, 5, 8, 8))
    assert [module.training for module in net.modules()] == modes
    assert net[1].momentum == net[4].momentum == 0.1


def test_views_are_deterministic_and_change_the_statistics() -> None:
    images = torch.randn(30, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    nets = [network() for _ in range(3)]
    for net, seed in zip(nets, (0, 0, 1), strict=True):
        recalibrate_batch_norm(net, images, views=3, augmentation=Augmentation(0.1), batch_size=10, seed=seed)
    assert torch.equal(nets[0][1].running_var, nets[1][1].running_var)
    assert not torch.equal(nets[0][1].running_var, nets[2][1].running_var)


def test_a_network_without_batch_norm_is_left_alone() -> None:
    net = nn.Linear(2, 2)
    recalibrate_batch_norm(net, torch.zeros(1, 2))


def test_reports_progress() -> None:
    seen: list[tuple[str, int, int]] = []
    recalibrate_batch_norm(network(), torch.randn(25, 1, 8, 8), batch_size=10, progress=lambda *s: seen.append(s))
    assert seen[0] == ("batch norm", 0, 25)
    assert seen[-1] == ("batch norm", 25, 25)
