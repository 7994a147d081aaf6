"""CHITA: iterative hard thresholding on all weights at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from chita_edge.progress import Progress, silent
from chita_edge.pruning.linalg.back_solve import back_solve
from chita_edge.pruning.patterns.cut import Cut
from chita_edge.pruning.search.block_search import LARGEST_HESSIAN, spliced
from chita_edge.pruning.search.dual import minimum_on
from chita_edge.pruning.search.swaps import local_search
from chita_edge.pruning.solvers.solver import Solution

if TYPE_CHECKING:
    from chita_edge.pruning.allocation import Constraint
    from chita_edge.pruning.problem import Problem

_GAIN = 1e-4
_SHRINK = 0.8


@dataclass(frozen=True)
class Chita:
    """CHITA (Benbaki et al. 2023, arXiv 2302.14623, section 3, algorithm 1) over the whole network.

    Starts from the magnitude support with its best weights, so that the result is never worse. Each round takes a
    gradient step, projects, and solves exactly on the support found. At the minimum on a support the full step is 1/ρ:
    the gradient's Hessian in the other weights is close to ρ there, since n samples leave p ≫ n weights free to move.
    Where a step does not lower the objective, the weights outside the support are given a smaller one. Rounds end when
    one gains less than 10⁻⁴ or when nothing enters any more.

    Problems of up to 2,048 weights are solved on their explicit Hessian (`splice`).

    Attributes:
        rounds: most rounds.
        small: unstructured problems of at most so many weights are polished by `local_search`.

    """

    rounds: int = 6
    small: int = 100
    name: str = "chita"
    needs_gradients: bool = True

    def solve(self, problem: Problem, constraint: Constraint, progress: Progress = silent) -> Solution:
        """Weights of the constraint's set; the trace falls monotonically."""
        progress("solve", 0, self.rounds)
        start = constraint.project(problem.dense.square())
        if problem.dense.numel() <= LARGEST_HESSIAN:
            solution = self._explicit(problem, constraint, start)
        else:
            solution = self._dual(problem, constraint, start, progress)
        progress("solve", self.rounds, self.rounds)
        return solution

    def _dual(self, problem: Problem, constraint: Constraint, start: torch.Tensor, progress: Progress) -> Solution:
        point = minimum_on(problem, start)
        trace = [problem.objective(problem.dense * start), point.value]
        share = 1.0
        for number in range(self.rounds):
            progress("solve", number, self.rounds)
            scores = (point.moved * torch.where(point.mask, 1.0, share)).square()
            mask = constraint.project(scores)
            if torch.equal(mask, point.mask):
                break
            found = minimum_on(problem, mask, point)
            if found.value < point.value:
                gained = point.value - found.value
                point = found
                trace.append(point.value)
                if gained < _GAIN * abs(point.value):
                    break
            else:
                share *= _SHRINK
        return Solution(point.moved * point.mask, point.mask, point.value, tuple(trace))

    def _explicit(self, problem: Problem, constraint: Constraint, start: torch.Tensor) -> Solution:
        whole = problem.restrict(torch.arange(problem.dense.numel()))
        found = spliced(whole, start, constraint.project, self.rounds)
        weights, mask = found.weights, found.mask
        trace = [problem.objective(problem.dense * start)]
        for support in (start, mask):
            candidate = _solved(problem, support)
            reached = problem.objective(candidate)
            if reached < trace[-1] or len(trace) == 1:
                weights, mask = candidate, support
                trace.append(reached)
        if problem.dense.numel() <= self.small and constraint.pattern.cut == Cut.ANYWHERE:
            groups = None
            if not isinstance(constraint.keep, int):
                lengths = torch.tensor([shape.numel() for shape in problem.shapes])
                groups = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
            support = local_search(whole, [mask, start], groups)
            candidate = _solved(problem, support)
            reached = problem.objective(candidate)
            if reached < trace[-1]:
                weights, mask = candidate, support
                trace.append(reached)
        return Solution(weights, mask, trace[-1], tuple(trace))


def _solved(problem: Problem, mask: torch.Tensor) -> torch.Tensor:
    """The best weights on this support, zero elsewhere."""
    chosen = mask.nonzero()[:, 0]
    weights = torch.zeros_like(problem.dense)
    weights[chosen] = back_solve(problem.restrict(chosen))
    return weights
