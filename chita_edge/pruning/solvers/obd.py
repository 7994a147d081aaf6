"""Optimal Brain Damage: the diagonal of the Hessian only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chita_edge.progress import Progress, silent
from chita_edge.pruning.solvers.solver import Solution

if TYPE_CHECKING:
    from chita_edge.pruning.allocation import Constraint
    from chita_edge.pruning.problem import Problem


@dataclass(frozen=True)
class Obd:
    """Keeps the weights of the largest saliency ½ H_jj w̄_j², unchanged (LeCun, Denker and Solla 1989, equation 5)."""

    name: str = "obd"
    needs_gradients: bool = True

    def solve(self, problem: Problem, constraint: Constraint, progress: Progress = silent) -> Solution:
        """Project the saliencies."""
        progress("solve", 0, 1)
        mask = constraint.project(0.5 * problem.curvature() * problem.dense.square())
        weights = problem.dense * mask
        value = problem.objective(weights)
        progress("solve", 1, 1)
        return Solution(weights, mask, value, (value,))
