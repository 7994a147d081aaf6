"""Optimal Brain Surgeon's saliency, with the best weights for all removals of a block together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from chita_edge.progress import Progress, silent
from chita_edge.pruning.solvers.blocks import BackSolve, each_block, saliencies
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
        weights = torch.empty_like(problem.dense)

        def work(where: slice) -> BackSolve:
            return BackSolve(problem.dense[where].clone(), mask[where].clone(), problem.first_order, problem.damping)

        for where, found in each_block(problem, self.block, work):
            weights[where] = found["weights"]
        value = problem.objective(weights)
        return Solution(weights, mask, value, (value,))
