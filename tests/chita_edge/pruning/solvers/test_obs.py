from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from chita_edge.pruning import Constraint, Problem, back_solve
from chita_edge.pruning.solvers import MFac, Obs, WoodFisher

Make = Callable[..., Problem]
Keep = Callable[[Problem, int | tuple[int, ...]], Constraint]


def test_one_removal_is_the_best_one(random_problem: Make, keep: Keep, best_subset: Callable[..., float]) -> None:
    for seed in range(10):
        problem = random_problem(((2, 5),), 20, seed=seed)
        best = best_subset(problem, 9)
        for solver in (Obs(), WoodFisher(), MFac()):
            assert solver.solve(problem, keep(problem, 9)).objective == pytest.approx(best, rel=1e-3)


def test_joint_update_is_the_minimum_on_its_support(random_problem: Make, keep: Keep) -> None:
    problem = random_problem(((2, 10),), 40)
    solution = Obs().solve(problem, keep(problem, 8))
    chosen = solution.mask.nonzero()[:, 0]
    torch.testing.assert_close(solution.weights[chosen], back_solve(problem.restrict(chosen)))
    woodfisher = WoodFisher().solve(problem, keep(problem, 8))
    assert torch.equal(woodfisher.mask, solution.mask)
    assert solution.objective <= woodfisher.objective


def test_one_block_is_the_whole_inverse(random_problem: Make, keep: Keep) -> None:
    problem = random_problem(((3, 10),), 8)
    block = WoodFisher(block=30).solve(problem, keep(problem, 25))
    whole = MFac().solve(problem, keep(problem, 25))
    torch.testing.assert_close(block.weights, whole.weights, rtol=1e-3, atol=1e-4)
