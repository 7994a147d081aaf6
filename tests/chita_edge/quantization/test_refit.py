from __future__ import annotations

import torch

from chita_edge.pruning import Constraint, get_pattern
from chita_edge.quantization.graph import Layer
from chita_edge.quantization.moments import moments
from chita_edge.quantization.refit import bias_for, refit_dense, refit_sparse


def problem(groups: int) -> tuple[Layer, torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    layer = Layer(torch.randn(6, 4 // groups, 1, 1, generator=rng), torch.randn(6, generator=rng), groups=groups)
    dense = torch.randn(300, 4, 1, 1, generator=rng) + 1
    return layer, dense, dense + 0.3 * torch.randn(300, 4, 1, 1, generator=rng) + 0.5


def test_dense_refit_is_the_least_squares_fit_in_each_group() -> None:
    for groups in (1, 2):
        layer, dense, x = problem(groups)
        found = moments(layer, lambda b, x=x: x[b], lambda b, d=dense: d[b], 300, rows=10**6)
        weights = refit_dense(layer, found, 0.0)
        bias = bias_for(layer, found, weights)
        got = layer.product(x, weights.view_as(layer.weight), bias.float())[:, :, 0, 0]
        wanted = layer(dense)[:, :, 0, 0]
        for group in range(groups):
            rows = slice(group * 6 // groups, (group + 1) * 6 // groups)
            seen = x[:, group * 4 // groups : (group + 1) * 4 // groups, 0, 0]
            best = torch.linalg.lstsq(torch.cat((seen, torch.ones(300, 1)), 1), wanted[:, rows]).solution
            fitted = torch.cat((seen, torch.ones(300, 1)), 1) @ best
            torch.testing.assert_close(got[:, rows], fitted, rtol=1e-3, atol=1e-3)


def test_means_are_kept_whatever_the_weights() -> None:
    layer, dense, x = problem(1)
    found = moments(layer, lambda b: x[b], lambda b: dense[b], 300, rows=10**6)
    other = torch.randn(6, 4, generator=torch.Generator().manual_seed(5))
    got = layer.product(x, other.view(6, 4, 1, 1), bias_for(layer, found, other).float())
    torch.testing.assert_close(got.mean(0), layer(dense).mean(0), rtol=1e-4, atol=1e-4)


def test_sparse_refit_keeps_the_count_and_the_pattern() -> None:
    rng = torch.Generator().manual_seed(0)
    layer = Layer(torch.randn(8, 16, generator=rng), torch.zeros(8))
    x = torch.randn(500, 16, generator=rng) @ torch.randn(16, 16, generator=rng)
    found = moments(layer, lambda b: x[b], lambda b: x[b], 500, rows=10**6)
    start = torch.zeros(8, 16).bool()
    start[:, :4] = True
    constraint = Constraint(get_pattern("1x4"), (layer.weight.shape,), (32,))
    errors = []
    for search in (False, True):
        weights, mask = refit_sparse(layer, found, 1e-2, constraint, start, search=search)
        assert int(mask.sum()) == 32 and bool((weights[~mask] == 0).all())
        assert bool((mask.view(8, 4, 4).sum(2) % 4 == 0).all())
        rest = weights - layer.weight
        errors.append(float(((rest @ found.gram[0]) * rest).sum()))
    assert torch.equal(refit_sparse(layer, found, 1e-2, constraint, start, search=False)[1], start)
    assert errors[1] < 0.8 * errors[0]


def test_without_a_start_it_starts_from_the_largest_saliencies() -> None:
    rng = torch.Generator().manual_seed(0)
    layer = Layer(torch.randn(4, 8, generator=rng), torch.zeros(4))
    x = torch.randn(300, 8, generator=rng) * torch.tensor([9.0, 1, 1, 1, 1, 1, 1, 1])
    found = moments(layer, lambda b: x[b], lambda b: x[b], 300, rows=10**6)
    constraint = Constraint(get_pattern("unstructured"), (layer.weight.shape,), (4,))
    _, mask = refit_sparse(layer, found, 1e-2, constraint, search=False)
    assert mask.int().sum(0).tolist() == [4, 0, 0, 0, 0, 0, 0, 0]
