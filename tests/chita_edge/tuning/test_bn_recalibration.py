from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from chita_edge.tuning import divergence, recalibrate_batch_norm, recalibrate_bn_if_better


def network() -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 36, 4))
    images = torch.randn(60, 1, 8, 8)
    recalibrate_batch_norm(net, images)
    return net.eval()


def test_divergence_is_that_of_the_definition() -> None:
    dense, other = network(), network()
    with torch.no_grad():
        other[4].bias += torch.tensor([1.0, 0, 0, 0])
    images = torch.randn(150, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    p, q = dense(images).softmax(1), other(images).softmax(1)
    expected = float((p * (p / q).log()).sum(1).mean().detach())
    assert divergence(other, dense, images) == pytest.approx(expected, rel=1e-4)
    assert divergence(dense, dense, images) == 0


def test_recalibrates_where_statistics_are_wrong_and_not_where_they_are_right() -> None:
    dense, images = network(), torch.randn(60, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    wrong = copy.deepcopy(dense)
    wrong[1].running_var *= 30
    before = copy.deepcopy(wrong.state_dict())
    better = recalibrate_bn_if_better(wrong, dense, images)
    assert better is not wrong
    assert divergence(better, dense, images) < divergence(wrong, dense, images)
    assert all(torch.equal(value, before[name]) for name, value in wrong.state_dict().items())
    same = copy.deepcopy(dense)
    assert recalibrate_bn_if_better(same, dense, images) is same
