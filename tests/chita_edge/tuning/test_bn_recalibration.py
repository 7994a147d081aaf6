from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from chita_edge.network.objective import Objective
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
    with torch.no_grad():
        log_p, z = dense(images).double().log_softmax(1), other(images).double()
        # The temperature that makes KL least, by trying many.
        scales = [2.0 ** (power / 100) for power in range(-600, 601)]
        each = [float((log_p.exp() * (log_p - (z * scale).log_softmax(1))).sum(1).mean()) for scale in scales]
    assert divergence(other, dense, images, Objective()) == pytest.approx(min(each), rel=1e-3)
    assert divergence(dense, dense, images, Objective()) == pytest.approx(0, abs=1e-9)


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
