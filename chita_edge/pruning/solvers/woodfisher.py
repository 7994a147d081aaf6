"""WoodFisher: the inverse of the block-diagonal empirical Fisher."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from chita_edge.progress import Progress, silent
from chita_edge.pruning.linalg.inverse_fisher import InverseFisher
from chita_edge.pruning.search.blocks import each_block, saliencies
from chita_edge.pruning.solvers.solver import Solution

if TYPE_CHECKING:
    from chita_edge.pruning.allocation import Constraint
    from chita_edge.pruning.columns import Results
    from chita_edge.pruning.problem import Problem


@dataclass(frozen=True)
class WoodFisher:
    """Singh and Alistarh 2020 (arXiv 2004.14340): removes by w̄_j² / (2 [F⁻¹]_jj), adds up single updates.

    The update for one removal q is δ = −w̄_q F⁻¹e_q / [F⁻¹]_qq (equation 11); those of all removals of a block are added
    up, and the removed weights set to zero. F⁻¹ is found by one factorisation a block; the paper's recursion over
    samples gives the same matrix.

    Attributes:
        block: most weights of a block.
    """

    block: int = 500
    name: str = "woodfisher"
    needs_gradients: bool = True

    def solve(self, problem: Problem, constraint: Constraint, progress: Progress = silent) -> Solution:
        """Project the saliencies, then add up the updates."""
        mask = constraint.project(saliencies(problem, self.block, progress))
        weights = torch.zeros_like(problem.dense)

        def work(where: slice) -> _Update:
            return _Update(problem.dense[where].clone(), mask[where].clone(), problem.damping)

        for where, found in each_block(problem, self.block, work):
            weights[where] = found["weights"]
        value = problem.objective(weights)
        return Solution(weights, mask, value, (value,))


@dataclass(frozen=True)
class _Update:
    """A block's weights after its removals."""

    dense: torch.Tensor
    mask: torch.Tensor
    damping: float

    def __call__(self, columns: torch.Tensor) -> Results:
        inverse = InverseFisher(columns, self.damping)
        removed = torch.where(self.mask, 0.0, self.dense) / inverse.diagonal()
        return {"weights": (self.dense - inverse.times(removed)) * self.mask}
