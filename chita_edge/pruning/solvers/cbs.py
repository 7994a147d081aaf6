"""Combinatorial Brain Surgeon: which weights to remove together, and the best update for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from chita_edge.progress import Progress, silent
from chita_edge.pruning.allocation.top import top_mask
from chita_edge.pruning.linalg.gram import gram
from chita_edge.pruning.patterns.cut import Cut
from chita_edge.pruning.search.blocks import BackSolve, each_block
from chita_edge.pruning.solvers.solver import Solution

if TYPE_CHECKING:
    from chita_edge.pruning.allocation import Constraint
    from chita_edge.pruning.columns import Results
    from chita_edge.pruning.problem import Problem


@dataclass(frozen=True)
class Cbs:
    """Yu, Serra, Ramalingam and Zhe 2022 (arXiv 2203.04466), with a block-diagonal Hessian.

    Selection (CBS-S): of all removals R of a block's budget, the least ½ w̄_Rᵀ H_RR w̄_R, by local search with
    one-for-one swaps from the magnitudes and from magnitudes disturbed at random (RMP); update (CBS-U): the minimum of
    Q over the weights that remain. Patterns other than unstructured are selected by their single removals.

    Attributes:
        block: most weights of a block.
        starts: local searches a block.
        swaps: most swaps of a search.
    """

    block: int = 500
    starts: int = 4
    swaps: int = 500
    name: str = "cbs"
    needs_gradients: bool = True

    def solve(self, problem: Problem, constraint: Constraint, progress: Progress = silent) -> Solution:
        """Select, then update, block by block."""
        free = constraint.pattern.cut == Cut.ANYWHERE
        scores = problem.dense.square() if free else problem.curvature() * problem.dense.square()
        mask = constraint.project(scores)
        weights = problem.dense * mask
        rng = torch.Generator().manual_seed(0)
        progress("solve", 0, len(weights))

        def work(where: slice) -> _Block:
            start = mask[where].clone()
            search = free and 0 < int(start.sum()) < len(start)
            noise = torch.rand(self.starts - 1 if search else 0, len(start), generator=rng)
            swaps = self.swaps if search else 0
            return _Block(problem.dense[where].clone(), start, noise, swaps, problem.first_order, problem.damping)

        for where, found in each_block(problem, self.block, work):
            mask[where], weights[where] = found["mask"], found["weights"]
            progress("solve", where.stop, len(weights))
        value = problem.objective(weights)
        return Solution(weights, mask, value, (value,))


@dataclass(frozen=True)
class _Block:
    """Select, unless ``swaps`` is zero, and update one block; ``noise`` (starts − 1, m) disturbs the magnitudes."""

    dense: torch.Tensor
    mask: torch.Tensor
    noise: torch.Tensor
    swaps: int
    first_order: float
    damping: float

    def __call__(self, columns: torch.Tensor) -> Results:
        mask = self._select(columns) if self.swaps else self.mask
        return {"mask": mask, **BackSolve(self.dense, mask, self.first_order, self.damping)(columns)}

    def _select(self, columns: torch.Tensor) -> torch.Tensor:
        """The best support that any search ends at."""
        hessian = gram(columns)
        hessian.diagonal().add_(self.damping)
        slope = torch.mv(columns, torch.full((columns.shape[1],), self.first_order))
        kept = int(self.mask.sum())
        starts = [self.mask, *(top_mask(self.dense.abs() * noise, kept) for noise in self.noise)]
        found = [swap_removals(hessian, self.dense, slope, start, self.swaps) for start in starts]
        return min(found, key=lambda mask: removal_cost(hessian, self.dense, slope, mask))


def removal_cost(hessian: torch.Tensor, dense: torch.Tensor, slope: torch.Tensor, mask: torch.Tensor) -> float:
    """½ xᵀHx − cᵀx with x the weights that the mask removes: the change of Q without an update."""
    removed = dense * ~mask
    return float(0.5 * removed @ torch.mv(hessian, removed) - slope @ removed)


def swap_removals(
    hessian: torch.Tensor, dense: torch.Tensor, slope: torch.Tensor, mask: torch.Tensor, most: int
) -> torch.Tensor:
    """Make the swap that lowers `removal_cost` most until none does.

    With g = Hx − c, removing j and restoring i changes it by

        w_j g_j + ½H_jj w_j² − w_i g_i + ½H_ii w_i² − H_ij w_i w_j.

    Args:
        hessian: H, (m, m).
        dense: w̄, (m,).
        slope: c, (m,).
        mask: bool (m,), the start.
        most: swaps.
    """
    mask = mask.clone()
    inside, outside = mask.nonzero()[:, 0], (~mask).nonzero()[:, 0]
    products = hessian * dense * dense[:, None]
    curve = 0.5 * products.diagonal()
    between = products[outside][:, inside]
    pull = (torch.mv(hessian, dense * ~mask) - slope) * dense
    for _ in range(most):
        change = (curve - pull)[outside][:, None] + (curve + pull)[inside][None] - between
        least = int(change.argmin())
        row, column = least // len(inside), least % len(inside)
        if not float(change[row, column]) < -1e-6 * float(curve.abs().sum()):
            break
        i, j = int(outside[row]), int(inside[column])
        pull += products[j] - products[i]
        outside[row], inside[column] = j, i
        between[row] = products[j][inside]
        between[:, column] = products[i][outside]
    mask = torch.zeros_like(mask)
    mask[inside] = True
    return mask
