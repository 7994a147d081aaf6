from __future__ import annotations

from collections.abc import Callable

import torch

from chita_edge.pruning import Constraint, Problem
from chita_edge.pruning.solvers.obd import Obd

Make = Callable[..., Problem]
Keep = Callable[[Problem, int | tuple[int, ...]], Constraint]


def test_keeps_what_costs_most_alone(random_problem: Make, keep: Keep) -> None:
    problem = random_problem()
    costs = []
    for j in range(14):
        without = problem.dense.clone()
        without[j] = 0
        costs.append(problem.objective(without))
    largest = torch.tensor(costs).argsort(descending=True)[:5].sort().values
    solution = Obd().solve(problem, keep(problem, 5))
    assert torch.equal(solution.mask.nonzero()[:, 0], largest)
    assert torch.equal(solution.weights[largest], problem.dense[largest])
