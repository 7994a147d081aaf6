from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from chita_edge.quantization.graph import Layer
from chita_edge.quantization.moments import GramSums, draw_positions, position_count, position_outputs, position_rows

LAYERS = {
    "3×3, stride 2": Layer(torch.ones(4, 6, 3, 3), torch.zeros(4), (2, 2), (1, 1)),
    "1×3, padded at the sides": Layer(torch.ones(4, 6, 1, 3), torch.zeros(4), (1, 2), (0, 1)),
    "dilated": Layer(torch.ones(4, 6, 3, 3), torch.zeros(4), (1, 1), (2, 2), (2, 2)),
    "groups": Layer(torch.ones(4, 3, 3, 3), torch.zeros(4), (1, 1), (1, 1), groups=2),
}


def columns(layer: Layer, x: torch.Tensor) -> torch.Tensor:
    """All rows by torch's own unfolding, (groups, n · positions, K)."""
    kernel = tuple(layer.weight.shape[2:])
    unfolded = functional.unfold(x, kernel, layer.dilation, layer.padding, layer.stride)
    return unfolded.view(len(x), layer.groups, -1, unfolded.shape[2]).permute(1, 0, 3, 2).flatten(1, 2)


@pytest.mark.parametrize("name", list(LAYERS))
def test_rows_are_those_that_the_weights_multiply(name: str) -> None:
    layer, rng = LAYERS[name], torch.Generator().manual_seed(0)
    x = torch.randn(3, 6, 7, 9, generator=rng)
    weight = torch.randn(layer.weight.shape, generator=rng)
    every = torch.arange(position_count(layer, x))
    assert torch.equal(position_rows(layer, x, every), columns(layer, x))
    few = draw_positions(layer, x, 5, rng)
    rows = position_rows(layer, x, few)
    assert torch.equal(rows, columns(layer, x).view(layer.groups, 3, len(every), -1)[:, :, few].flatten(1, 2))
    outputs = position_outputs(layer.product(x, weight, None), few)
    made = (rows @ weight.view(layer.groups, -1, rows.shape[2]).mT).permute(1, 0, 2).flatten(1)
    torch.testing.assert_close(outputs, made, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", list(LAYERS))
def test_gram_of_all_rows_is_the_covariance(name: str) -> None:
    layer = LAYERS[name]
    x = torch.randn(120, 6, 5, 5, generator=torch.Generator().manual_seed(0)) + 3
    sums = GramSums(layer, 120, rows=10**6)
    for batch in torch.split(x, 50):
        sums.add(batch)
    rows = columns(layer, x).double()
    centred = rows - rows.mean(1, keepdim=True)
    torch.testing.assert_close(sums.gram().double(), centred.mT @ centred / rows.shape[1], rtol=1e-4, atol=1e-4)


def test_a_sample_of_rows_is_close_and_the_same_for_a_seed() -> None:
    layer = LAYERS["3×3, stride 2"]
    x = torch.randn(100, 6, 16, 16, generator=torch.Generator().manual_seed(0))

    def gram(rows: int, seed: int) -> torch.Tensor:
        sums = GramSums(layer, len(x), rows=rows, seed=seed)
        sums.add(x)
        return sums.gram()

    few = gram(1000, 0)
    assert torch.equal(few, gram(1000, 0)) and not torch.equal(few, gram(1000, 1))
    assert float((few - gram(10**6, 0)).norm() / few.norm()) < 0.3


def test_linear_layers_of_several_tokens() -> None:
    layer, x = Layer(torch.ones(2, 5), torch.zeros(2)), torch.randn(60, 7, 5)
    sums = GramSums(layer, 60, rows=10**6)
    sums.add(x)
    torch.testing.assert_close(sums.gram()[0], torch.cov(x.reshape(-1, 5).T, correction=0), rtol=1e-3, atol=1e-4)
    assert torch.equal(position_outputs(x, torch.tensor([1, 3])), x[:, [1, 3]].flatten(0, 1))
