"""CHITA: iterative hard thresholding on all weights at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from chita_edge.progress import Progress, silent
from chita_edge.pruning.allocation.top import top_mask
from chita_edge.pruning.back_solve import back_solve
from chita_edge.pruning.solvers.iht import iht
from chita_edge.pruning.solvers.solver import Solution
from chita_edge.pruning.solvers.swaps import local_search

if TYPE_CHECKING:
    from chita_edge.pruning.allocation import Constraint
    from chita_edge.pruning.problem import Problem


@dataclass(frozen=True)
class Chita:
    """CHITA (Benbaki et al. 2023, arXiv 2302.14623, section 3, algorithm 1) over the whole network.

    Starts from the magnitude support with its best weights, so that the result is never worse. Each round works on an
    *active set*, the ``active`` · k weights of the largest magnitude after a gradient step, where A's rows are gathered
    together; iterates there (`iht`); solves exactly on the support found; and looks over all weights for others that
    should enter. Rounds end when one gains nothing.

    Attributes:
        rounds: most rounds.
        iterations: most iterations a round.
        active: size of the active set in units of k.
        small: unstructured problems of at most so many weights are polished by `local_search`.

    """

    rounds: int = 4
    iterations: int = 20
    active: float = 1.5
    small: int = 100
    name: str = "chita"

    def solve(self, problem: Problem, constraint: Constraint, progress: Progress = silent) -> Solution:
        """Weights of the constraint's set; the trace falls monotonically."""
        progress("solve", 0, self.rounds)
        mask = constraint.project(problem.dense.square())
        weights = _solved(problem, mask)
        value = problem.objective(weights)
        trace = [problem.objective(problem.dense * mask), value]
        for number in range(self.rounds):
            candidate, support = self._round(problem, constraint, weights, mask)
            reached = problem.objective(candidate)
            progress("solve", number + 1, self.rounds)
            if not reached < value * (1 - 1e-4):
                break
            weights, mask, value = candidate, support, reached
            trace.append(value)
        if problem.dense.numel() <= self.small and constraint.pattern.rows == 0:
            groups = None
            if not isinstance(constraint.keep, int):
                lengths = torch.tensor([shape.numel() for shape in problem.shapes])
                groups = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
            whole = problem.restrict(torch.arange(problem.dense.numel()))
            support = local_search(whole, [mask, constraint.project(problem.dense.square())], groups)
            candidate = _solved(problem, support)
            reached = problem.objective(candidate)
            if reached < value:
                weights, mask, value = candidate, support, reached
                trace.append(value)
        progress("solve", self.rounds, self.rounds)
        return Solution(weights, mask, value, tuple(trace))

    def _round(
        self, problem: Problem, constraint: Constraint, weights: torch.Tensor, mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Iterate on the active set around this point, then solve on the support found."""
        gradient = problem.gradient(weights)
        curve = problem.times(gradient)
        slope = float(gradient @ gradient)
        bend = float(curve @ curve) + problem.damping * slope
        step = slope / bend if bend > 0 else 0.0
        moved = (weights - step * gradient).abs()
        moved[mask] = torch.inf
        size = min(problem.dense.numel(), max(constraint.total + 1, round(self.active * constraint.total)))
        active = top_mask(moved, size).nonzero()[:, 0]

        everything = torch.zeros_like(weights)

        def project(scores: torch.Tensor) -> torch.Tensor:
            everything[active] = scores
            return constraint.project(everything)[active]

        found = iht(problem.restrict(active), weights[active], mask[active], project, max_iterations=self.iterations)
        # A unit of the pattern may reach beyond the active set: take those whole that the search has touched.
        touched = torch.zeros_like(weights)
        touched[active] = found.mask * (1 + found.weights.square())
        support = constraint.project(touched)
        return _solved(problem, support), support


def _solved(problem: Problem, mask: torch.Tensor) -> torch.Tensor:
    """The best weights on this support, zero elsewhere."""
    chosen = mask.nonzero()[:, 0]
    weights = torch.zeros_like(problem.dense)
    weights[chosen] = back_solve(problem.restrict(chosen))
    return weights
