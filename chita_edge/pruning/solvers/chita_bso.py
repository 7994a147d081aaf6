"""CHITA-BSO: the same, block by block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from chita_edge.progress import Progress, silent
from chita_edge.pruning.back_solve import back_solve
from chita_edge.pruning.quadratic import Quadratic
from chita_edge.pruning.solvers.blocks import block_bounds
from chita_edge.pruning.solvers.iht import iht
from chita_edge.pruning.solvers.solver import Solution

if TYPE_CHECKING:
    from chita_edge.pruning.allocation import Constraint
    from chita_edge.pruning.problem import Problem


@dataclass(frozen=True)
class ChitaBso:
    """CHITA with a block-diagonal Hessian (Benbaki et al. 2023, section 3.3): blocks of weights inside a layer.

    Each block keeps as many weights as the projection of w̄ onto the constraint leaves in it. With fewer samples than
    weights the full empirical Fisher is mostly noise between distant weights; blocks ignore that noise, and networks
    pruned so are better although the whole quadratic is larger.

    Attributes:
        block: most weights of a block.
        iterations: most iterations of `iht` a block.

    """

    block: int = 500
    iterations: int = 5
    name: str = "chita_bso"

    def solve(self, problem: Problem, constraint: Constraint, progress: Progress = silent) -> Solution:
        """Weights of the constraint's set; the trace is the start's and the end's sum over the blocks."""
        mask = constraint.project(problem.dense.square())
        weights = problem.dense * mask
        offset = torch.full((problem.samples,), problem.first_order)
        free = 0.5 * problem.samples * problem.first_order**2
        before = after = 0.0
        done = 0
        progress("solve", 0, problem.dense.numel())
        for number, (layer, (start, _)) in enumerate(zip(problem.layers, problem.bounds, strict=True)):
            for first, last in block_bounds(layer.weight.shape, self.block, constraint.pattern.rows):
                where = slice(start + first, start + last)
                quadratic = Quadratic(
                    layer.gradients[first:last], problem.dense[where], offset, problem.damping, constant=-free
                )
                kept = int(mask[where].sum())
                if 0 < kept < last - first:
                    part = constraint.part(number, first, last, kept)
                    found, support, trace = self._solve_block(quadratic, mask[where], part)
                    weights[where], mask[where] = found, support
                    before, after = before + trace[0], after + trace[1]
                elif not kept:
                    lost = quadratic.objective(torch.zeros_like(quadratic.dense))
                    before, after = before + lost, after + lost
                done += last - first
            progress("solve", done, problem.dense.numel())
        return Solution(weights, mask, problem.objective(weights), (before, after))

    def _solve_block(
        self, quadratic: Quadratic, magnitude: torch.Tensor, part: Constraint
    ) -> tuple[torch.Tensor, torch.Tensor, tuple[float, float]]:
        """The best of what iterating finds and of the magnitude support, each with its best weights."""
        start = quadratic.dense * magnitude
        found = iht(quadratic, start, magnitude, part.project, max_iterations=self.iterations)
        candidates = [(_solved(quadratic, support), support) for support in (magnitude, found.mask)]
        values = [quadratic.objective(weights) for weights, _ in candidates]
        best = values.index(min(values))
        return (*candidates[best], (found.trace[0], values[best]))


def _solved(quadratic: Quadratic, mask: torch.Tensor) -> torch.Tensor:
    chosen = mask.nonzero()[:, 0]
    weights = torch.zeros_like(quadratic.dense)
    weights[chosen] = back_solve(quadratic.restrict(chosen))
    return weights
