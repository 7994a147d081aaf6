"""WoodFisher with the inverse of the whole empirical Fisher, written out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from chita_edge.progress import Progress, silent
from chita_edge.pruning.errors import PruningError
from chita_edge.pruning.solvers.solver import Solution

if TYPE_CHECKING:
    from chita_edge.pruning.allocation import Constraint
    from chita_edge.pruning.problem import Problem


@dataclass(frozen=True)
class WoodFisherFull:
    """Singh and Alistarh 2020 (arXiv 2004.14340), equation 4: the p × p inverse by n rank-one updates, O(n p²).

        F⁻¹ ← F⁻¹ − (F⁻¹a)(F⁻¹a)ᵀ / (1 + aᵀF⁻¹a),   F⁻¹ = I/ρ at first, for each sample's gradient a.

    Saliencies and updates as in `WoodFisher`. For comparisons on small networks; `MFac` gives the same for large ones.

    Attributes:
        most_weights: refuses more; the inverse takes 4p² bytes.
    """

    most_weights: int = 20_000
    name: str = "woodfisher_full"
    needs_gradients: bool = True

    def solve(self, problem: Problem, constraint: Constraint, progress: Progress = silent) -> Solution:
        """Project the saliencies w̄_j² / (2 [F⁻¹]_jj), then add up the updates of all removals."""
        size = len(problem.dense)
        if size > self.most_weights:
            raise PruningError(
                f"The inverse of a full Fisher matrix of {size} weights takes {4 * size**2 / 1e9:.0f} GB, more than "
                f"the {self.most_weights} weights allowed. Use 'mfac', which gives the same without forming it."
            )
        columns = problem.together()
        curvature = float(columns.square().sum(1).max())
        inverse = torch.eye(size) / max(problem.damping, 1e-7 * curvature, 1e-30)
        progress("solve", 0, problem.samples)
        for number in range(problem.samples):
            gradient = columns[:, number].contiguous()
            product = torch.mv(inverse, gradient)
            inverse.addr_(product, product, alpha=-1.0 / (1.0 + float(gradient @ product)))
            progress("solve", number + 1, problem.samples)
        diagonal = inverse.diagonal().clamp_min(1e-30)
        mask = constraint.project(0.5 * problem.dense.square() / diagonal)
        removed = torch.where(mask, 0.0, problem.dense) / diagonal
        weights = (problem.dense - torch.mv(inverse, removed)) * mask
        value = problem.objective(weights)
        return Solution(weights, mask, value, (value,))
