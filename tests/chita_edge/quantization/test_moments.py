from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from chita_edge.quantization.graph import Layer
from chita_edge.quantization.moments import moments, position_count, position_rows

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
    layer, x = LAYERS[name], torch.randn(3, 6, 7, 9, generator=torch.Generator().manual_seed(0))
    every = torch.arange(position_count(layer, x))
    assert torch.equal(position_rows(layer, x, every), columns(layer, x))
    few = every[::3]
    wanted = columns(layer, x).view(layer.groups, 3, len(every), -1)[:, :, few].flatten(1, 2)
    assert torch.equal(position_rows(layer, x, few), wanted)


@pytest.mark.parametrize("name", list(LAYERS))
def test_moments_of_all_rows_are_covariances(name: str) -> None:
    layer, rng = LAYERS[name], torch.Generator().manual_seed(0)
    x, dense = (torch.randn(120, 6, 5, 5, generator=rng) + 3 for _ in range(2))
    found = moments(layer, lambda batch: x[batch], lambda batch: dense[batch], 120, rows=10**6)
    a, b = columns(layer, x).double(), columns(layer, dense).double()
    centred, dense_centred = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    for got, wanted in (
        (found.gram, centred.mT @ centred / a.shape[1]),
        (found.cross, dense_centred.mT @ centred / a.shape[1]),
        (found.mean, a.mean(1)),
        (found.dense_mean, b.mean(1)),
    ):
        torch.testing.assert_close(got.double(), wanted, rtol=1e-4, atol=1e-4)


def test_a_sample_of_rows_is_close_and_the_same_for_a_seed() -> None:
    layer = LAYERS["3×3, stride 2"]
    x = torch.randn(100, 6, 16, 16, generator=torch.Generator().manual_seed(0))
    few, same, other, all_ = (
        moments(layer, lambda b: x[b], lambda b: x[b], 100, rows=rows, seed=seed)
        for rows, seed in ((1000, 0), (1000, 0), (1000, 1), (10**6, 0))
    )
    assert torch.equal(few.gram, same.gram) and not torch.equal(few.gram, other.gram)
    assert float((few.gram - all_.gram).norm() / all_.gram.norm()) < 0.3


def test_linear_layers_of_several_tokens() -> None:
    layer, x = Layer(torch.ones(2, 5), torch.zeros(2)), torch.randn(60, 7, 5)
    found = moments(layer, lambda b: x[b], lambda b: x[b], 60, rows=10**6)
    torch.testing.assert_close(found.gram[0], torch.cov(x.reshape(-1, 5).T, correction=0), rtol=1e-3, atol=1e-4)
