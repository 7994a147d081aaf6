from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from chita_edge.pruning import Constraint, Problem, back_solve
from chita_edge.pruning.linalg.inverse_fisher import InverseFisher
from chita_edge.pruning.solvers.mfac import MFac
from chita_edge.pruning.solvers.obs import Obs, removal_costs
from chita_edge.pruning.solvers.woodfisher import WoodFisher

Make = Callable[..., Problem]
Keep = Callable[[Problem, int | tuple[int, ...]], Constraint]


def test_one_removal_is_the_best_one(random_problem: Make, keep: Keep, best_subset: Callable[..., float]) -> None:
    for seed in range(10):
        problem = random_problem(((2, 5),), 20, seed=seed)
        best = best_subset(problem, 9)
        for solver in (Obs(), WoodFisher(), MFac()):
            assert solver.solve(problem, keep(problem, 9)).objective == pytest.approx(best, rel=1e-3)


def test_removals_are_made_one_after_another(random_problem: Make, keep: Keep) -> None:
    problem = random_problem(((1, 14),), 30, seed=3, correlation=3.0)
    columns = problem.together().double()
    hessian = columns @ columns.T + problem.damping * torch.eye(14)
    left, orders = list(range(14)), []
    while left:
        # Each removal that could be next, everything else at its minimum.
        values = {j: _least(hessian, problem.dense.double(), [i for i in left if i != j]) for j in left}
        orders.append(min(left, key=values.__getitem__))
        left.remove(orders[-1])
    for kept in range(1, 14):
        mask = Obs().solve(problem, keep(problem, kept)).mask
        assert sorted(orders[14 - kept :]) == mask.nonzero()[:, 0].tolist()


def _least(hessian: torch.Tensor, dense: torch.Tensor, kept: list[int]) -> float:
    """½dᵀHd at the minimum where the other weights are zero."""
    step = -dense
    gone = [j for j in range(len(dense)) if j not in kept]
    step[kept] = torch.linalg.solve(hessian[kept][:, kept], hessian[kept][:, gone] @ dense[gone])
    return float(0.5 * step @ hessian @ step)


def test_costs_add_up_to_the_objective(random_problem: Make) -> None:
    problem = random_problem(((1, 40),), 15, seed=1, correlation=3.0)
    columns = problem.together()
    hessian = columns @ columns.T + problem.damping * torch.eye(40)
    costs = removal_costs(InverseFisher(columns, problem.damping).matrix(), problem.dense)
    order = costs.argsort()
    assert bool((costs[order].diff() > 0).all())
    for gone in (1, 5, 20, 39):
        least = _least(hessian.double(), problem.dense.double(), sorted(order[gone:].tolist()))
        # Costs that rise again after a dearer removal are counted too high.
        assert least <= float(costs[order[:gone]].sum()) * (1 + 1e-3)
    assert float(costs[order[:1]]) == pytest.approx(
        _least(hessian.double(), problem.dense.double(), sorted(order[1:].tolist())), rel=1e-3
    )


def test_joint_update_is_the_minimum_on_its_support(random_problem: Make, keep: Keep) -> None:
    problem = random_problem(((2, 10),), 40)
    solution = Obs().solve(problem, keep(problem, 8))
    chosen = solution.mask.nonzero()[:, 0]
    torch.testing.assert_close(solution.weights[chosen], back_solve(problem.restrict(chosen)))
    woodfisher = WoodFisher().solve(problem, keep(problem, 8))
    assert solution.objective <= woodfisher.objective


def test_one_block_is_the_whole_inverse(random_problem: Make, keep: Keep) -> None:
    problem = random_problem(((3, 10),), 8)
    block = WoodFisher(block=30).solve(problem, keep(problem, 25))
    whole = MFac().solve(problem, keep(problem, 25))
    torch.testing.assert_close(block.weights, whole.weights, rtol=1e-3, atol=1e-4)
