from __future__ import annotations

from itertools import combinations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chita_edge.pruning.allocation.top import top_mask
from chita_edge.pruning.reconstruction import LayerFit, search_support, solve_rows


def fit(out: int, size: int, correlation: float, seed: int) -> LayerFit:
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(size, 50, generator=rng) + correlation * torch.randn(1, 50, generator=rng)
    dense_x = x + 0.1 * torch.randn(size, 50, generator=rng)
    return LayerFit(torch.randn(out, size, generator=rng), x @ x.T / 50, dense_x @ x.T / 50, 1e-2)


def search(layer: LayerFit, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    def project(scores: torch.Tensor) -> torch.Tensor:
        return top_mask(scores.flatten(), count).view(scores.shape)

    start = project(layer.dense.square())
    return (*search_support(layer, start, project), start)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 143), correlation=st.sampled_from([0.0, 1.0, 4.0]))
def test_keeps_the_budget_and_is_never_worse_than_its_start(seed: int, count: int, correlation: float) -> None:
    layer = fit(6, 24, correlation, seed)
    weights, mask, start = search(layer, count)
    assert int(mask.sum()) == count
    assert not weights[~mask].any()
    assert layer.objective(weights) <= layer.objective(solve_rows(layer, start)) + 1e-5


def test_gains_where_inputs_are_correlated() -> None:
    gains = []
    for seed in range(5):
        layer = fit(8, 40, 2.0, seed)
        weights, _, start = search(layer, 80)
        dense = layer.objective(solve_rows(layer, torch.ones_like(start)))
        gains.append((layer.objective(weights) - dense) / (layer.objective(solve_rows(layer, start)) - dense))
    assert sum(gains) / len(gains) < 0.9


def test_close_to_brute_force_on_one_row() -> None:
    ratios = []
    for seed in range(8):
        layer = fit(1, 8, 1.0, seed)
        weights, _, _ = search(layer, 3)
        values = []
        for support in combinations(range(8), 3):
            mask = torch.zeros(1, 8, dtype=torch.bool)
            mask[0, list(support)] = True
            values.append(layer.objective(solve_rows(layer, mask)))
        assert layer.objective(weights) >= min(values) - 1e-4
        ratios.append((layer.objective(weights) + 1e-3) / (min(values) + 1e-3))
    assert sorted(ratios)[len(ratios) // 2] < 1.25
