from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import torch

from chita_edge.pruning import Constraint, Problem, back_solve
from chita_edge.pruning.solvers.cbs import Cbs, removal_cost, swap_removals
from chita_edge.pruning.solvers.obd import Obd

Make = Callable[..., Problem]
Keep = Callable[[Problem, int | tuple[int, ...]], Constraint]


def parts(problem: Problem) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    q = problem.restrict(torch.arange(len(problem.dense)))
    return q.columns @ q.columns.T + q.damping * torch.eye(len(q.dense)), q.dense, q.columns @ q.offset


def test_cost_is_what_the_objective_changes_by(random_problem: Make) -> None:
    problem = random_problem(first_order=1.0)
    mask = torch.arange(14) % 3 == 0
    expected = problem.objective(problem.dense * mask)
    assert abs(removal_cost(*parts(problem), mask) - expected) < 1e-4 * (1 + abs(expected))


def test_no_swap_is_left_and_the_best_selection_is_often_found(random_problem: Make) -> None:
    best_found = 0
    for seed in range(12):
        problem = random_problem(seed=seed, correlation=1.0)
        hessian, dense, slope = parts(problem)
        start = dense.abs() >= dense.abs().sort(descending=True).values[4]
        found = swap_removals(hessian, dense, slope, start, 100)
        reached = removal_cost(hessian, dense, slope, found)
        assert int(found.sum()) == 5
        for i in found.nonzero()[:, 0]:
            for j in (~found).nonzero()[:, 0]:
                other = found.clone()
                other[i], other[j] = False, True
                assert removal_cost(hessian, dense, slope, other) >= reached - 1e-3 * (1 + abs(reached))
        costs = []
        for chosen in combinations(range(14), 5):
            mask = torch.zeros(14, dtype=torch.bool)
            mask[list(chosen)] = True
            costs.append(removal_cost(hessian, dense, slope, mask))
        best_found += reached <= min(costs) + 1e-3 * (1 + abs(min(costs)))
    assert best_found >= 4


def test_updates_to_the_minimum_and_beats_single_removals(random_problem: Make, keep: Keep) -> None:
    problem = random_problem(((6, 10),), 60, correlation=1.0)
    solution = Cbs().solve(problem, keep(problem, 20))
    chosen = solution.mask.nonzero()[:, 0]
    torch.testing.assert_close(solution.weights[chosen], back_solve(problem.restrict(chosen)), rtol=1e-3, atol=1e-4)
    assert solution.objective < Obd().solve(problem, keep(problem, 20)).objective
