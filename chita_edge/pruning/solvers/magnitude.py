"""Magnitude pruning: keep the weights of the largest absolute value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chita_edge.progress import Progress, silent
from chita_edge.pruning.linalg.back_solve import back_solve
from chita_edge.pruning.solvers.solver import Solution

if TYPE_CHECKING:
    from chita_edge.pruning.allocation import Constraint
    from chita_edge.pruning.problem import Problem


@dataclass(frozen=True)
class Magnitude:
    """Keeps the largest |w̄|, unchanged, or with ``update`` re-fitted by the same back-solve as CHITA's.

    Attributes:
        update: minimise Q over the weights kept.

    """

    update: bool = False
    name: str = "magnitude"

    @property
    def needs_gradients(self) -> bool:
        """For the update alone."""
        return self.update

    def solve(self, problem: Problem, constraint: Constraint, progress: Progress = silent) -> Solution:
        """Project w̄, and where asked back-solve on the support."""
        progress("solve", 0, 1)
        mask = constraint.project(problem.dense.square())
        weights = problem.dense * mask
        if not problem.samples:
            progress("solve", 1, 1)
            return Solution(weights, mask, None, ())
        trace = [problem.objective(weights)]
        if self.update:
            chosen = mask.nonzero()[:, 0]
            weights[chosen] = back_solve(problem.restrict(chosen))
            trace.append(problem.objective(weights))
        progress("solve", 1, 1)
        return Solution(weights, mask, trace[-1], tuple(trace))
