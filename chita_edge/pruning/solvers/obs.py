"""Optimal Brain Surgeon: one removal after another, all that remain corrected for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from chita_edge.progress import Progress, silent
from chita_edge.pruning.linalg.inverse_fisher import InverseFisher
from chita_edge.pruning.search.blocks import BackSolve, each_block
from chita_edge.pruning.solvers.solver import Solution

if TYPE_CHECKING:
    from chita_edge.pruning.allocation import Constraint
    from chita_edge.pruning.columns import Results
    from chita_edge.pruning.problem import Problem

# Removed rows stay in the inverse until they are this share of it.
_SPARE = 0.25
# Makes each removal dearer than those before it, so that none is undone before them.
_DEARER = 1 + 1e-6


@dataclass(frozen=True)
class Obs:
    """Removes the weight of the smallest w_j² / (2 [H⁻¹]_jj), again and again (Hassibi and Stork 1992, equation 5).

    After each removal the weights that remain, and the inverse of their Hessian, are those of the smaller problem. A
    block goes on until nothing is left of it; what each removal has cost then decides across blocks which of them are
    made. The weights that remain are the minimum for all of a block's removals together, which the updates of single
    removals lead to as well, but for rounding.

    Attributes:
        block: most weights of a block.
    """

    block: int = 500
    name: str = "obs"
    needs_gradients: bool = True

    def solve(self, problem: Problem, constraint: Constraint, progress: Progress = silent) -> Solution:
        """Order the removals of each block, project what they cost, then back-solve each block."""
        costs = torch.empty_like(problem.dense)
        progress("solve", 0, len(costs))

        def order(where: slice) -> _Removals:
            return _Removals(problem.dense[where].clone(), problem.damping)

        for where, found in each_block(problem, self.block, order):
            costs[where] = found["costs"]
            progress("solve", where.stop, len(costs))
        mask = constraint.project(costs)
        weights = torch.empty_like(problem.dense)

        def work(where: slice) -> BackSolve:
            return BackSolve(problem.dense[where].clone(), mask[where].clone(), problem.first_order, problem.damping)

        for where, found in each_block(problem, self.block, work):
            weights[where] = found["weights"]
        value = problem.objective(weights)
        return Solution(weights, mask, value, (value,))


@dataclass(frozen=True)
class _Removals:
    """Work on one block: costs of its removals, (m,), one after another until none is left; as ``costs``."""

    dense: torch.Tensor
    damping: float

    def __call__(self, columns: torch.Tensor) -> Results:
        with torch.inference_mode():
            return {"costs": removal_costs(InverseFisher(columns, self.damping).matrix(), self.dense)}


def removal_costs(inverse: torch.Tensor, dense: torch.Tensor) -> torch.Tensor:
    """Cost of each removal in ½dᵀHd, (m,), in the greedy order, with the remaining weights corrected after each.

    A removal that costs less than one before it, as corrections can make it, counts as much as that one.

    Args:
        inverse: H⁻¹, (m, m).
        dense: w̄, (m,).
    """
    costs = torch.empty_like(dense)
    inverse, weights = inverse.clone(), dense.clone()
    places, gone = torch.arange(len(dense)), torch.zeros(len(dense), dtype=torch.bool)
    removed, highest = 0, 0.0
    for _ in range(len(dense)):
        if removed > _SPARE * len(places):
            left = (~gone).nonzero()[:, 0]
            inverse = inverse.index_select(0, left).index_select(1, left)
            weights, places, gone, removed = weights[left], places[left], gone[left], 0
        scores = weights.square().div_(inverse.diagonal().clamp_min(1e-30)).masked_fill_(gone, torch.inf)
        number = int(scores.argmin())
        highest = max(highest * _DEARER, 0.5 * float(scores[number]))
        costs[places[number]] = highest
        row = inverse[number].clone()
        own = max(float(row[number]), 1e-30)
        weights.sub_(row, alpha=float(weights[number]) / own)
        inverse.addr_(row, row, alpha=-1 / own)
        gone[number] = True
        removed += 1
    return costs
