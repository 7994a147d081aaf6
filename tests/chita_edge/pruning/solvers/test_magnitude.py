from __future__ import annotations

from collections.abc import Callable

import torch

from chita_edge.pruning import Constraint, Problem
from chita_edge.pruning.solvers.magnitude import Magnitude

Make = Callable[..., Problem]
Keep = Callable[[Problem, int | tuple[int, ...]], Constraint]


def test_keeps_the_largest_weights_unchanged(random_problem: Make, keep: Keep) -> None:
    problem = random_problem()
    solution = Magnitude().solve(problem, keep(problem, 4))
    largest = problem.dense.abs().sort(descending=True).indices[:4].sort().values
    assert torch.equal(solution.mask.nonzero()[:, 0], largest)
    assert torch.equal(solution.weights[largest], problem.dense[largest])


def test_update_lowers_the_objective_on_the_same_support(random_problem: Make, keep: Keep) -> None:
    problem = random_problem()
    plain = Magnitude().solve(problem, keep(problem, 4))
    updated = Magnitude(update=True).solve(problem, keep(problem, 4))
    assert torch.equal(plain.mask, updated.mask)
    assert updated.objective < plain.objective
