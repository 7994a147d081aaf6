"""Optimal Brain Surgeon's saliency, with the best weights for all removals of a block together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from chita_edge.progress import Progress, silent
from chita_edge.pruning.back_solve import back_solve
from chita_edge.pruning.quadratic import Quadratic
from chita_edge.pruning.solvers.blocks import saliencies, walk_blocks
from chita_edge.pruning.solvers.solver import Solution

if TYPE_CHECKING:
    from chita_edge.pruning.allocation import Constraint
    from chita_edge.pruning.problem import Problem


@dataclass(frozen=True)
class Obs:
    """Removes the weights of the smallest w̄_j² / (2 [H⁻¹]_jj) (Hassibi and Stork 1992, equation 5), block by block.

    The saliencies are those of single removals. The weights that remain are then the minimum for all of a block's
    removals together, where the classical update would be right for one removal only.

    Attributes:
        block: most weights of a block.
    """

    block: int = 500
    name: str = "obs"

    def solve(self, problem: Problem, constraint: Constraint, progress: Progress = silent) -> Solution:
        """Project the saliencies, then back-solve each block."""
        mask = constraint.project(saliencies(problem, self.block, progress))
        weights = problem.dense * mask
        offset = torch.full((problem.samples,), problem.first_order)
        for where, columns in walk_blocks(problem, self.block):
            kept = mask[where].nonzero()[:, 0]
            block = Quadratic(columns, problem.dense[where], offset, problem.damping)
            values = torch.zeros_like(block.dense)
            values[kept] = back_solve(block.restrict(kept))
            weights[where] = values
        value = problem.objective(weights)
        return Solution(weights, mask, value, (value,))
