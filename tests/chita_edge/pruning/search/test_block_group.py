from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from chita_edge.pruning import Problem, Quadratic, back_solve
from chita_edge.pruning.allocation.top import top_mask
from chita_edge.pruning.search.block_group import Blocks, search_blocks

Make = Callable[..., Problem]


@pytest.mark.parametrize("first_order", [0.0, 1.0])
@pytest.mark.parametrize("counts", [(70, 0, 260), (10, 3, 299), (0, 0, 0)])
def test_blocks_of_any_length_and_budget_end_at_minima(
    counts: tuple[int, ...], first_order: float, random_problem: Make
) -> None:
    """A gap lies between the first two; the active set is a part of the last where the budgets are small."""
    bounds = ((0, 200), (230, 235), (235, 535))
    problem = random_problem(((1, 535),), 300, first_order=first_order)
    columns, offset = torch.as_tensor(problem.layers[0].gradients[:535]), torch.full((300,), first_order)
    start = torch.ones(535, dtype=torch.bool)
    for (first, last), count in zip(bounds, counts, strict=True):
        start[first:last] = top_mask(problem.dense[first:last].abs(), count)
    found = search_blocks(Blocks(columns, problem.dense, bounds, offset, problem.damping, 1.0), start, 5)
    total, before = 0.0, 0.0
    for (first, last), count in zip(bounds, counts, strict=True):
        where = slice(first, last)
        q = Quadratic(columns[where], problem.dense[where], offset, problem.damping, 1.0)
        kept = found.mask[where].nonzero()[:, 0]
        assert len(kept) == count
        assert not found.weights[where][~found.mask[where]].any()
        inner = q.restrict(kept)
        reached = q.objective(found.weights[where])
        assert reached <= inner.objective(back_solve(inner)) * (1 + 1e-4)
        original = q.restrict(start[where].nonzero()[:, 0])
        assert reached <= original.objective(back_solve(original)) * (1 + 1e-4)
        total, before = total + reached, before + q.objective(problem.dense[where] * start[where])
    torch.testing.assert_close(found.weights[200:230], problem.dense[200:230])
    moved = torch.mv(columns.T, found.weights - problem.dense)
    torch.testing.assert_close(found.moved, moved, rtol=1e-3, atol=1e-3 * float(moved.norm()))
    assert found.objective == pytest.approx(total, rel=1e-4)
    assert found.before == pytest.approx(before, rel=1e-4)


def test_hessian_that_is_not_definite_is_solved_in_float64() -> None:
    """Two equal columns without a ridge: any split of their weights is best."""
    rng = torch.Generator().manual_seed(0)
    columns = torch.randn(3, 40, generator=rng)
    columns[1] = columns[0]
    dense = torch.tensor([1.0, 2.0, 0.1])
    blocks = Blocks(columns, dense, ((0, 3),), torch.zeros(40), 0.0)
    found = search_blocks(blocks, torch.tensor([True, True, False]), 3)
    rest = columns[:1].T
    lost = 0.1 * columns[2] - (rest @ torch.linalg.lstsq(rest, 0.1 * columns[2][:, None]).solution)[:, 0]
    assert found.objective == pytest.approx(0.5 * float(lost.square().sum()), rel=1e-3)
