from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from chita_edge.tuning import infer_training_augmentation, recalibrate_batch_norm
from chita_edge.tuning.training_augmentation import CANDIDATES, PLAIN
from chita_edge.tuning.views import Augmentation


@pytest.mark.parametrize("known", CANDIDATES)
def test_finds_the_views_of_which_the_statistics_are(known: Augmentation) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8))
    net.extend([nn.ReLU(), nn.Flatten(), nn.Linear(8 * 256, 5)])
    rows = torch.linspace(0, 1, 20)
    # Bright at one side: an edge repeated is unlike a dark one, and a mirrored image unlike the image.
    images = 1 + rows[None, None, :, None] + 3 * rows**2 + torch.rand(200, 1, 20, 20)
    images[:, :, 8:12, 8:12] = 0
    recalibrate_batch_norm(net, images, views=20, augmentation=known, seed=5)
    net.eval()
    before = copy.deepcopy(net.state_dict())
    assert infer_training_augmentation(net, images) == known
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_network_without_batch_norm_knows_nothing() -> None:
    assert infer_training_augmentation(nn.Linear(2, 2), torch.zeros(3, 2)) == PLAIN
