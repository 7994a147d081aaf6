from __future__ import annotations

from itertools import product

import pytest
import torch

from chita_edge.pruning import InfeasibleBudgetError, LayerFacts, PruningError
from chita_edge.pruning.allocation.costed import costed_budget
from chita_edge.pruning.allocation.flops import flops_budget
from chita_edge.pruning.allocation.latency import latency_budget

RNG = torch.Generator().manual_seed(0)
WEIGHTS = (torch.randn(6, 5, generator=RNG), 2 * torch.randn(5, 4, generator=RNG))
SHAPES = tuple(weight.shape for weight in WEIGHTS)


def worth(counts: tuple[int, ...]) -> float:
    pairs = zip(WEIGHTS, counts, strict=True)
    return sum(float(weight.flatten().square().sort(descending=True).values[:count].sum()) for weight, count in pairs)


@pytest.mark.parametrize("limit", [20.0, 60.0, 120.0])
@pytest.mark.parametrize("kept", [10, 25, 40])
def test_close_to_the_best_of_all_choices(kept: int, limit: float) -> None:
    def cost(layer: int, density: float) -> float:
        return density * (30, 100)[layer]

    counts = costed_budget(WEIGHTS, kept, cost, limit)
    allowed = [
        pair
        for pair in product(range(1, 31), range(1, 21))
        if sum(pair) <= kept and cost(0, pair[0] / 30) + cost(1, pair[1] / 20) <= limit
    ]
    assert counts in allowed
    # Prices of two budgets leave out less than one weight of each; of 60 draws the worst left 0.56 of the largest.
    assert max(map(worth, allowed)) - worth(counts) <= max(float(weight.square().max()) for weight in WEIGHTS)


def test_without_a_tight_cost_the_largest_weights_stay() -> None:
    counts = flops_budget(SHAPES, 0.6, LayerFacts(WEIGHTS, (30, 20), cost_sparsity=0.0))
    everything = torch.cat([weight.flatten().abs() for weight in WEIGHTS])
    threshold = everything.sort(descending=True).values[19]
    expected = [int((weight.abs() >= threshold).sum()) for weight in WEIGHTS]
    assert sum(counts) <= 20
    assert all(abs(count - best) <= 2 for count, best in zip(counts, expected, strict=True))


def test_multiplications_are_held_to_the_budget() -> None:
    facts = LayerFacts(WEIGHTS, (30 * 64, 20), cost_sparsity=0.9)
    counts = flops_budget(SHAPES, 0.5, facts)
    assert counts[0] * 64 + counts[1] <= 0.1 * (30 * 64 + 20)
    assert counts[1] >= 15


def test_latency_table_with_a_step() -> None:
    points = (((0.1, 1.0), (0.5, 5.0), (1.0, 5.0)), ((0.1, 1.0), (1.0, 2.0)))
    counts = latency_budget(SHAPES, 0.2, LayerFacts(WEIGHTS, cost_points=points, cost_sparsity=0.4))
    dense = 7.0
    first = max(1.0, min(5.0, 1 + (counts[0] / 30 - 0.1) * 10))
    assert first + 1 + (counts[1] / 20 - 0.1) / 0.9 <= 0.6 * dense + 1e-6
    everything = latency_budget(SHAPES, 0.0, LayerFacts(WEIGHTS, cost_points=points))
    assert everything == (30, 20)


def test_refusals_are_sentences() -> None:
    with pytest.raises(InfeasibleBudgetError, match="even almost empty layers cost 1"):
        costed_budget(WEIGHTS, 10, lambda layer, density: 0.5, 0.9)
    with pytest.raises(PruningError, match="multiplications of all 2"):
        flops_budget(SHAPES, 0.5, LayerFacts(WEIGHTS))
    with pytest.raises(InfeasibleBudgetError, match="cost sparsity of 1"):
        flops_budget(SHAPES, 0.5, LayerFacts(WEIGHTS, (1, 1), cost_sparsity=1.0))
    with pytest.raises(PruningError, match="cost table for all 2"):
        latency_budget(SHAPES, 0.5, LayerFacts(WEIGHTS))
    for bad in ((), ((0.5, 1.0), (0.5, 2.0)), ((0.5, float("nan")),), ((0.5, -1.0),)):
        with pytest.raises(PruningError, match="ascending density"):
            latency_budget(SHAPES, 0.5, LayerFacts(WEIGHTS, cost_points=(bad, bad)))
