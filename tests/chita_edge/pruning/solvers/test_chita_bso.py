from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from chita_edge.pruning import Constraint, Problem, Quadratic, back_solve
from chita_edge.pruning.search.blocks import block_bounds
from chita_edge.pruning.solvers.chita_bso import ChitaBso

Make = Callable[..., Problem]
Keep = Callable[[Problem, int | tuple[int, ...]], Constraint]


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
