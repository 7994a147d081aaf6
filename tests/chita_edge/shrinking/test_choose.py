from __future__ import annotations

from itertools import combinations

import pytest
import torch

from chita_edge.pruning import SOLVERS, InfeasibleBudgetError, Layer, Problem, get_allocation, get_solver
from chita_edge.shrinking import WeightsLeft, choose_channels
from chita_edge.shrinking.budget import _Weight

SIZES = (4, 3, 5)
# A chain: input of 2 channels → group 0 → group 1 → group 2 → 2 classes.
CHAIN = WeightsLeft(
    SIZES,
    (
        _Weight(4, 2, 9, ((0, 1.0),), ()),
        _Weight(3, 4, 1, ((1, 1.0),), ((0, 1.0),)),
        _Weight(5, 3, 1, ((2, 1.0),), ((1, 1.0),)),
        _Weight(2, 5, 1, (), ((2, 1.0),)),
    ),
)
SHAPES = tuple(torch.Size(shape) for shape in ((4, 2, 3, 3), (3, 4), (5, 3), (2, 5)))


def problem(seed: int = 0, n: int = 20) -> Problem:
    rng = torch.Generator().manual_seed(seed)
    layers = tuple(
        Layer(f"group{i}", torch.rand(size, 1, generator=rng) + 0.1, torch.randn(size, n, generator=rng))
        for i, size in enumerate(SIZES)
    )
    return Problem(layers, 1e-2)


@pytest.mark.parametrize("solver", list(SOLVERS))
@pytest.mark.parametrize("allocation", ["global", "balanced"])
@pytest.mark.parametrize("sparsity", [0.3, 0.6])
def test_within_the_budget_with_a_channel_in_each_group(solver: str, allocation: str, sparsity: float) -> None:
    choice = choose_channels(problem(), get_solver(solver), get_allocation(allocation), sparsity, CHAIN, SHAPES)
    counts = [int(kept.sum()) for kept in choice.kept.values()]
    assert all(counts)
    dense = CHAIN(SIZES)
    assert CHAIN(counts) <= round(dense * (1 - sparsity))
    assert CHAIN(counts) >= dense * (1 - sparsity) / 3
    for name, kept in choice.kept.items():
        assert torch.equal(choice.factors[name] != 0, kept)


def test_nothing_goes_at_no_sparsity() -> None:
    choice = choose_channels(problem(), get_solver("chita"), get_allocation("uniform"), 0.0, CHAIN, SHAPES)
    assert all(bool(kept.all()) for kept in choice.kept.values())
    assert choice.solution.objective == pytest.approx(0, abs=1e-6)


def test_too_sparse_is_a_sentence() -> None:
    for allocation in ("global", "uniform"):
        with pytest.raises(InfeasibleBudgetError, match="one channel of each group"):
            choose_channels(problem(), get_solver("obd"), get_allocation(allocation), 0.95, CHAIN, SHAPES)


def best_of_all(problem: Problem, counts: list[int]) -> float:
    """The least objective over all choices of so many channels in each group, by trying every one."""
    columns = torch.cat([layer.gradients for layer in problem.layers]).double()
    hessian = columns @ columns.T + problem.damping * torch.eye(len(columns), dtype=torch.float64)
    dense = problem.dense.double()
    places = torch.split(torch.arange(len(dense)), SIZES)
    supports: list[list[int]] = [[]]
    for group, count in zip(places, counts, strict=True):
        supports = [s + list(c) for s in supports for c in combinations(group.tolist(), count)]
    values = []
    for support in supports:
        right = (hessian @ dense)[support]
        best = torch.linalg.solve(hessian[support][:, support], right)
        values.append(float(0.5 * dense @ hessian @ dense - 0.5 * right @ best))
    return min(values)


def test_close_to_the_best_of_all_choices() -> None:
    ratios = []
    for seed in range(8):
        given = problem(seed)
        choice = choose_channels(given, get_solver("chita"), get_allocation("uniform"), 0.5, CHAIN, SHAPES)
        counts = [int(kept.sum()) for kept in choice.kept.values()]
        ratios.append(choice.solution.objective / best_of_all(given, counts))
    assert ratios == pytest.approx([1.0] * len(ratios), rel=1e-3)
