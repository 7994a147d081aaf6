"""Move an already pruned network into a pattern, keeping as much of the objective as it can."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from chita_edge.progress import Progress, silent
from chita_edge.pruning.linalg.back_solve import back_solve
from chita_edge.pruning.patterns import NOfM
from chita_edge.pruning.quadratic import Quadratic
from chita_edge.pruning.search.block_search import search_block
from chita_edge.pruning.search.blocks import block_bounds
from chita_edge.pruning.search.swaps import local_search
from chita_edge.pruning.solvers.solver import Solution

if TYPE_CHECKING:
    from chita_edge.pruning.allocation import Constraint
    from chita_edge.pruning.problem import Problem

_SMALL = 100
_COUPLING = 0.1  # on ResNet-20 and held-out images 0.1 and 0.3 cost less than a point, 1 many


def convert(
    problem: Problem,
    weights: torch.Tensor,
    constraint: Constraint,
    *,
    block: int = 500,
    rounds: int = 10,
    progress: Progress = silent,
) -> Solution:
    """Weights of the constraint's set with a small Q, found from weights that are sparse already.

    The start is the projection of the given weights onto the set; places that the pattern leaves free go to the dense
    weights that were dropped. Then two passes improve blocks of weights one after another (`search_block`).

    The full quadratic of fewer samples than weights is mostly noise between distant weights. Blocks that answer for the
    errors of all others follow that noise: Q falls and the network gets worse. So in the first pass each block is
    solved alone, from the dense weights, as in CHITA-BSO; in the second, on the supports found, it answers for a tenth
    of the others' residual, which lowers Q and leaves the network as good. Where there are no fewer samples than
    weights, or few weights, blocks answer for all of it, and the supports are searched for in each pass.

    Args:
        problem: the quadratic around the dense weights.
        weights: of the pruned network, flat (p,).
        constraint: the pattern and budget to move into.
        block: most weights of a block.
        rounds: most supports tried in a block and pass.
        progress: called with stage "solve".

    Returns:
        Weights whose Q is never above that of the projection; the trace holds Q of the projection and after each pass.
    """
    p = problem.dense.numel()
    if p <= max(_SMALL, problem.samples):
        return _convert_small(problem, weights, constraint, block, rounds, progress)
    mask = constraint.project(_scores(weights, problem.dense, torch.ones_like(weights)))
    state = _State(problem, constraint, weights * mask, mask)
    trace = [problem.objective(state.weights)]
    passes = (_Pass(coupling=0.0, search=True), _Pass(coupling=_COUPLING, search=False))
    total = len(passes) * len(problem.layers)
    progress("solve", 0, total)
    for turn, how in enumerate(passes):
        before = state.weights.clone(), state.mask.clone()
        if not turn:
            state.weights = problem.dense * state.mask
        state.improve(how, block, rounds, turn * len(problem.layers), total, progress)
        value = problem.objective(state.weights)
        if value > trace[-1]:
            (state.weights, state.mask), value = before, trace[-1]
        trace.append(value)
    return Solution(state.weights, state.mask, trace[-1], tuple(trace))


def _convert_small(
    problem: Problem, weights: torch.Tensor, constraint: Constraint, block: int, rounds: int, progress: Progress
) -> Solution:
    """The better one of two searches on the whole quadratic, from projections by magnitude and by what weights cost."""
    curvature = problem.curvature()
    runs = []
    total = 4 * len(problem.layers)
    progress("solve", 0, total)
    for number, scale in enumerate((torch.ones_like(curvature), curvature)):
        mask = constraint.project(_scores(weights, problem.dense, scale))
        state = _State(problem, constraint, weights * mask, mask)
        trace = [problem.objective(state.weights)]
        for turn in range(2):
            done = (2 * number + turn) * len(problem.layers)
            state.improve(_Pass(coupling=1.0, search=True), block, rounds, done, total, progress)
            trace.append(problem.objective(state.weights))
        if problem.dense.numel() <= _SMALL and isinstance(constraint.pattern, NOfM):
            state.exchange(constraint.pattern)
            trace.append(problem.objective(state.weights))
        runs.append(Solution(state.weights, state.mask, trace[-1], tuple(trace)))
    best = min(runs, key=lambda run: run.trace[-1])
    return Solution(best.weights, best.mask, best.objective, (runs[0].trace[0], *best.trace[1:]))


def _scores(weights: torch.Tensor, dense: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Scaled squares of the weights; those of dropped weights, by their dense values, all come below."""
    scores, dropped = scale * weights.square(), scale * dense.square()
    alive = weights != 0
    if not bool(alive.any()) or bool(alive.all()):
        return torch.where(alive, scores, dropped)
    least = scores[alive].min()
    return torch.where(alive, scores, 0.5 * least * dropped / dropped[~alive].max().clamp_min(1e-30))


@dataclass(frozen=True)
class _Pass:
    """One improvement of a block: its share of the others' residual, and whether its support may change."""

    coupling: float
    search: bool


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

    def improve(self, how: _Pass, block: int, rounds: int, done: int, total: int, progress: Progress) -> None:
        """One pass over all blocks; none ends with a larger value of what it answers for."""
        problem, pattern = self.problem, self.constraint.pattern
        residual = problem.residual(self.weights)
        for number, (layer, (start, _)) in enumerate(zip(problem.layers, problem.bounds, strict=True)):
            for first, last in block_bounds(layer.weight.shape, block, pattern.cut):
                where = slice(start + first, start + last)
                kept = int(self.mask[where].sum())
                if not kept:
                    continue
                columns, dense, now = layer.gradients[first:last], problem.dense[where], self.weights[where]
                own = torch.mv(columns.T, now - dense)
                others = problem.first_order + how.coupling * (residual - own - problem.first_order)
                quadratic = Quadratic(columns, dense, others, problem.damping)
                if how.search:
                    part = self.constraint.part(number, first, last, kept)
                    found = search_block(quadratic, self.mask[where], part, rounds)
                    new, mask = found.weights, found.mask
                else:
                    mask = self.mask[where]
                    chosen = mask.nonzero()[:, 0]
                    new = torch.zeros_like(now)
                    new[chosen] = back_solve(quadratic.restrict(chosen))
                if quadratic.objective(new) < quadratic.objective_at(now, own + others):
                    residual += torch.mv(columns.T, new - now)
                    self.weights[where], self.mask[where] = new, mask
            progress("solve", done + number + 1, total)
