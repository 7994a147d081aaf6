from __future__ import annotations

import pytest
import torch
from torch import nn

from chita_edge.network.layer import (
    Convolution,
    Linear,
    column_count,
    position_count,
    position_rows,
    unfold_input,
    weight_gradients,
    weight_order,
)

FORMS = [
    (Convolution((1, 1), stride=(2, 2)), (7, 4, 5, 6)),
    (Convolution((3, 5), stride=(2, 1), padding=(2, 2, 1, 1)), (7, 4, 5, 6)),
    (Convolution((3, 3), dilation=(2, 2)), (2, 4, 9, 7)),
    (Convolution((2, 2), padding=(0, 1, 0, 1)), (3, 4, 5, 4)),
    (Convolution((1, 5), padding=(2, 2, 0, 0)), (3, 4, 1, 9)),
]


def patches_of(form: Convolution, inputs: torch.Tensor) -> torch.Tensor:
    padded = nn.functional.pad(inputs, form.padding)
    return nn.functional.unfold(padded, form.kernel, form.dilation, 0, form.stride)


@pytest.mark.parametrize(("form", "shape"), FORMS)
@pytest.mark.parametrize(("first", "step"), [(0, 1), (2, 3)])
def test_position_rows_are_those_that_unfold_gives(
    form: Convolution, shape: tuple[int, ...], first: int, step: int
) -> None:
    inputs = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    patches = patches_of(form, inputs)
    assert position_count(form, inputs) == patches.shape[2]
    assert column_count(form, inputs) == patches.shape[1]
    expected = patches[:, :, first::step].transpose(1, 2).flatten(0, 1)
    found, order = position_rows(form, inputs, first, step), weight_order(form, patches.shape[1])
    assert torch.equal(found if order is None else found[:, order], expected)


@pytest.mark.parametrize(("form", "shape"), FORMS)
def test_unfolded_input_is_what_unfold_gives(form: Convolution, shape: tuple[int, ...]) -> None:
    inputs = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(unfold_input(form, inputs)[:, 0], patches_of(form, inputs))


def test_linear() -> None:
    inputs = torch.arange(24.0).view(2, 3, 4)
    form = Linear()
    assert (position_count(form, inputs), column_count(form, inputs)) == (3, 4)
    assert torch.equal(position_rows(form, inputs, 1, 2), inputs[:, 1:2].reshape(-1, 4))
    assert weight_order(form, 4) is None


def test_gradients_of_neighbouring_entries_are_summed() -> None:
    rng = torch.Generator().manual_seed(0)
    inputs, gradients = torch.randn(6, 4, 5, 5, generator=rng), torch.randn(6, 8, 5, 5, generator=rng)
    form = Convolution((3, 3), padding=(1, 1, 1, 1), groups=2)
    each = weight_gradients(form, inputs, gradients, 1)
    torch.testing.assert_close(weight_gradients(form, inputs, gradients, 3), each.view(2, 3, -1).sum(1))
