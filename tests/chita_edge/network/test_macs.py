from __future__ import annotations

import torch
from torch import nn

from chita_edge.network.macs import multiplications


def test_counts_one_input() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, groups=4), nn.Flatten(), nn.Linear(8 * 36, 10))
    found = multiplications(model, ("0.weight", "1.weight", "3.weight"), torch.zeros(1, 3, 16, 16))
    assert found == {"0.weight": 8 * 27 * 64, "1.weight": 8 * 18 * 36, "3.weight": 2880}
