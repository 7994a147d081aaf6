"""Move an already pruned network into a pattern, keeping as much of the objective as it can."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from chita_edge.progress import Progress, silent
from chita_edge.pruning.back_solve import back_solve
from chita_edge.pruning.patterns import NOfM
from chita_edge.pruning.quadratic import Quadratic
from chita_edge.pruning.solvers.block_search import search_block
from chita_edge.pruning.solvers.blocks import block_bounds
from chita_edge.pruning.solvers.solver import Solution
from chita_edge.pruning.solvers.swaps import local_search

if TYPE_CHECKING:
    from chita_edge.pruning.allocation import Constraint
    from chita_edge.pruning.problem import Problem

_SMALL = 100


def convert(
    problem: Problem,
    weights: torch.Tensor,
    constraint: Constraint,
    *,
    block: int = 500,
    passes: int = 2,
    rounds: int = 10,
    progress: Progress = silent,
) -> Solution:
    """Weights of the constraint's set with a small Q, found from weights that are sparse already.

    Two projections of the given weights onto the set are starts: by magnitude, and by magnitude times curvature; places
    that the pattern leaves free go to the dense weights that were dropped. From each, blocks of weights are improved
    one after another, with all others as they are (`search_block`). Every step lowers Q of the whole problem, so the
    result is never worse than projecting by magnitude.

    Args:
        problem: the quadratic around the dense weights.
        weights: of the pruned network, flat (p,).
        constraint: the pattern and budget to move into.
        block: most weights of a block.
        passes: over all blocks.
        rounds: most supports tried in a block and pass.
        progress: called with stage "solve".

    Returns:
        The better one of both; the trace holds Q after the projection by magnitude and after each pass.
    """
    curvature = problem.curvature()
    runs = []
    total = 2 * passes * len(problem.layers)
    progress("solve", 0, total)
    for number, scale in enumerate((torch.ones_like(curvature), curvature)):
        mask = constraint.project(_scores(weights, problem.dense, scale))
        state = _State(problem, constraint, weights * mask, mask)
        trace = [problem.objective(state.weights)]
        for turn in range(passes):
            done = (number * passes + turn) * len(problem.layers)
            state.improve(block, rounds, done, total, progress)
            trace.append(problem.objective(state.weights))
        if problem.dense.numel() <= _SMALL and isinstance(constraint.pattern, NOfM):
            state.exchange(constraint.pattern)
            trace.append(problem.objective(state.weights))
        runs.append(Solution(state.weights, state.mask, trace[-1], tuple(trace)))
    best = min(runs, key=lambda run: run.objective)
    return Solution(best.weights, best.mask, best.objective, (runs[0].trace[0], *best.trace[1:]))


def _scores(weights: torch.Tensor, dense: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Scaled squares of the weights; those of dropped weights, by their dense values, all come below."""
    scores, dropped = scale * weights.square(), scale * dense.square()
    alive = weights != 0
    if not bool(alive.any()) or bool(alive.all()):
        return torch.where(alive, scores, dropped)
    least = scores[alive].min()
    return torch.where(alive, scores, 0.5 * least * dropped / dropped[~alive].max().clamp_min(1e-30))


@dataclass
class _State:
    """Weights of the set and their mask on the way down."""

    problem: Problem
    constraint: Constraint
    weights: torch.Tensor
    mask: torch.Tensor

    def exchange(self, pattern: NOfM) -> None:
        """Swap weights within the pattern's cells while that gains, exactly; for small problems."""
        problem = self.problem
        cells, first = [], 0
        for shape in problem.shapes:
            cells.append(first + pattern.cells(shape))
            first += shape.numel()
        whole = problem.restrict(torch.arange(problem.dense.numel()))
        mask = local_search(whole, [self.mask], torch.unique(torch.cat(cells), return_inverse=True)[1])
        weights = torch.zeros_like(problem.dense)
        chosen = mask.nonzero()[:, 0]
        weights[chosen] = back_solve(problem.restrict(chosen))
        if problem.objective(weights) < problem.objective(self.weights):
            self.weights, self.mask = weights, mask

    def improve(self, block: int, rounds: int, done: int, total: int, progress: Progress) -> None:
        """One pass over all blocks."""
        problem, pattern = self.problem, self.constraint.pattern
        residual = problem.residual(self.weights)
        for number, (layer, (start, _)) in enumerate(zip(problem.layers, problem.bounds, strict=True)):
            for first, last in block_bounds(layer.weight.shape, block, pattern.rows):
                where = slice(start + first, start + last)
                kept = int(self.mask[where].sum())
                if not kept:
                    continue
                columns, dense, now = layer.gradients[first:last], problem.dense[where], self.weights[where]
                others = residual - torch.mv(columns.T, now - dense)
                quadratic = Quadratic(columns, dense, others, problem.damping)
                part = self.constraint.part(number, first, last, kept)
                found = search_block(quadratic, self.mask[where], part, rounds)
                if found.objective < quadratic.objective_at(now, residual):
                    self.weights[where], self.mask[where], residual = found.weights, found.mask, found.residual
            progress("solve", done + number + 1, total)
