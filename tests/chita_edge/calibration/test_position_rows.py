from __future__ import annotations

import pytest
import torch
from torch import nn

from chita_edge.calibration.position_rows import position_count, position_rows, weight_order


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv2d(4, 3, 1, stride=2), (7, 4, 5, 6)),
        (nn.Conv2d(4, 3, (3, 5), padding=(1, 2), stride=(2, 1)), (7, 4, 5, 6)),
        (nn.Conv2d(4, 3, 3, dilation=2), (2, 4, 9, 7)),
    ],
)
@pytest.mark.parametrize(("first", "step"), [(0, 1), (2, 3)])
def test_are_those_that_unfold_gives(layer: nn.Conv2d, shape: tuple[int, ...], first: int, step: int) -> None:
    inputs = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    patches = nn.functional.unfold(inputs, layer.kernel_size, layer.dilation, layer.padding, layer.stride)
    assert position_count(layer, inputs) == patches.shape[2]
    expected = patches[:, :, first::step].transpose(1, 2).flatten(0, 1)
    found, order = position_rows(layer, inputs, first, step), weight_order(layer)
    assert torch.equal(found if order is None else found[:, order], expected)


def test_linear() -> None:
    inputs = torch.arange(24.0).view(2, 3, 4)
    layer = nn.Linear(4, 5)
    assert position_count(layer, inputs) == 3
    assert torch.equal(position_rows(layer, inputs, 1, 2), inputs[:, 1:2].reshape(-1, 4))
    assert weight_order(layer) is None
