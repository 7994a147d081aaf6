"""M-FAC: the inverse of the whole empirical Fisher, through the n × n matrix of the samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from chita_edge.progress import Progress, silent
from chita_edge.pruning.linalg.inverse_fisher import InverseFisher
from chita_edge.pruning.solvers.solver import Solution

if TYPE_CHECKING:
    from chita_edge.pruning.allocation import Constraint
    from chita_edge.pruning.problem import Problem


@dataclass(frozen=True)
class MFac:
    """Frantar, Kurtic and Alistarh 2021 (arXiv 2107.03356): as WoodFisher, over all weights at once, not in blocks.

    Holds all gradients together in memory.
    """

    name: str = "mfac"
    needs_gradients: bool = True

    def solve(self, problem: Problem, constraint: Constraint, progress: Progress = silent) -> Solution:
        """Project the saliencies w̄_j² / (2 [F⁻¹]_jj), then add up the updates of all removals."""
        progress("solve", 0, 1)
        inverse = InverseFisher(problem.together(), problem.damping)
        diagonal = inverse.diagonal()
        mask = constraint.project(0.5 * problem.dense.square() / diagonal)
        removed = torch.where(mask, 0.0, problem.dense) / diagonal
        weights = (problem.dense - inverse.times(removed)) * mask
        value = problem.objective(weights)
        progress("solve", 1, 1)
        return Solution(weights, mask, value, (value,))
