from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from chita_edge.pruning import Constraint, Problem, Quadratic, back_solve
from chita_edge.pruning.solvers import ChitaBso
from chita_edge.pruning.solvers.chita_bso import block_bounds

Make = Callable[..., Problem]
Keep = Callable[[Problem, int | tuple[int, ...]], Constraint]


@given(st.integers(1, 2000), st.integers(1, 600))
def test_blocks_cover_a_layer_evenly(size: int, block: int) -> None:
    bounds = block_bounds(torch.Size((1, size)), block)
    lengths = [last - first for first, last in bounds]
    assert bounds[0][0] == 0
    assert bounds[-1][1] == size
    assert all(left[1] == right[0] for left, right in pairwise(bounds))
    assert max(lengths) <= block
    assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize(
    ("shape", "rows", "expected"),
    [
        ((10, 20), 1, [(0, 40), (40, 100), (100, 140), (140, 200)]),
        ((10, 20), 4, [(0, 80), (80, 160), (160, 200)]),
        ((10, 20), None, [(0, 200)]),
        ((3, 8, 3, 3), 1, [(0, 72), (72, 144), (144, 216)]),
    ],
)
def test_blocks_are_cut_where_the_pattern_allows(
    shape: tuple[int, ...], rows: int | None, expected: list[tuple[int, int]]
) -> None:
    assert block_bounds(torch.Size(shape), 60, rows) == expected


@pytest.mark.parametrize("first_order", [0.0, 1.0])
def test_each_block_beats_its_magnitude_support(first_order: float, random_problem: Make, keep: Keep) -> None:
    problem = random_problem(((10, 20), (5, 20)), 60, first_order=first_order)
    constraint = keep(problem, 80)
    magnitude = constraint.project(problem.dense.square())
    solution = ChitaBso(block=50).solve(problem, constraint)
    better = 0
    for layer, (start, _) in zip(problem.layers, problem.bounds, strict=True):
        for first, last in block_bounds(layer.weight.shape, 50):
            where = slice(start + first, start + last)
            q = Quadratic(
                layer.gradients[first:last], problem.dense[where], torch.full((60,), first_order), problem.damping
            )
            kept = magnitude[where].nonzero()[:, 0]
            rival = q.restrict(kept)
            limit = rival.objective(back_solve(rival))
            reached = q.objective(solution.weights[where])
            assert int(solution.mask[where].sum()) == len(kept)
            assert reached <= limit + 1e-4 * (abs(limit) + 1)
            better += reached < 0.99 * limit
    assert better >= 3


def test_one_block_a_layer_sees_the_whole_layer(random_problem: Make, keep: Keep) -> None:
    problem = random_problem(((6, 10),), 20)
    solution = ChitaBso(block=1000).solve(problem, keep(problem, 20))
    assert solution.trace[-1] == pytest.approx(solution.objective, rel=1e-4)


def test_block_of_one_weight_leaves_it_alone(random_problem: Make, keep: Keep) -> None:
    problem = random_problem()
    constraint = keep(problem, 5)
    solution = ChitaBso(block=1).solve(problem, constraint)
    torch.testing.assert_close(solution.weights, problem.dense * constraint.project(problem.dense.square()))
