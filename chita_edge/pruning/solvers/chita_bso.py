"""CHITA-BSO: the same, block by block."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

from chita_edge.progress import Progress, silent
from chita_edge.pruning.quadratic import Quadratic
from chita_edge.pruning.solvers.block_search import search_block
from chita_edge.pruning.solvers.blocks import block_bounds
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
        rounds: most supports tried in a block.

    """

    block: int = 500
    rounds: int = 10
    name: str = "chita_bso"

    def solve(self, problem: Problem, constraint: Constraint, progress: Progress = silent) -> Solution:
        """Weights of the constraint's set; the trace is the start's and the end's sum over the blocks."""
        mask = constraint.project(problem.dense.square())
        weights = problem.dense * mask
        before = after = 0.0
        total = torch.full((problem.samples,), problem.first_order)
        progress("solve", 0, problem.dense.numel())
        for number, (layer, (start, stop)) in enumerate(zip(problem.layers, problem.bounds, strict=True)):
            solve = partial(self._solve_layer, problem, constraint, number, mask[start:stop], progress)
            solved = problem.journal.remember(f"{self.name}/{layer.name}", solve)
            weights[start:stop], mask[start:stop] = solved["weights"], solved["mask"]
            before, after = before + float(solved["values"][0]), after + float(solved["values"][1])
            total += solved["moved"]
            progress("solve", stop, problem.dense.numel())
        return Solution(weights, mask, problem.objective_at(weights, total), (before, after))

    def _solve_layer(
        self, problem: Problem, constraint: Constraint, number: int, start: torch.Tensor, progress: Progress
    ) -> dict[str, torch.Tensor]:
        """Solve the blocks of one layer from its part of the start's mask.

        Returns:
            The layer's weights and mask, by how much they move the residual, (n,), and the sum of the blocks' objective
            before and after, float64 (2,).
        """
        layer, (begin, _) = problem.layers[number], problem.bounds[number]
        dense, mask = layer.weight.detach().flatten(), start.clone()
        weights = dense * mask
        offset = torch.full((problem.samples,), problem.first_order)
        free = 0.5 * problem.samples * problem.first_order**2
        values = torch.zeros(2, dtype=torch.float64)
        moved = torch.zeros_like(offset)
        for first, last in block_bounds(layer.weight.shape, self.block, constraint.pattern.rows):
            where = slice(first, last)
            kept = int(mask[where].sum())
            if first:
                progress("solve", begin + first, problem.dense.numel())
            if kept == last - first:
                continue
            quadratic = Quadratic(layer.gradients[where], dense[where], offset, problem.damping, constant=-free)
            residual = quadratic.residual(weights[where])
            old = quadratic.objective_at(weights[where], residual)
            new = old
            if kept:
                part = constraint.part(number, first, last, kept)
                found = search_block(quadratic, mask[where], part, self.rounds)
                weights[where], mask[where] = found.weights, found.mask
                residual, new = found.residual, found.objective
            values += torch.tensor((old, new), dtype=torch.float64)
            moved += residual - offset
        return {"weights": weights, "mask": mask, "moved": moved, "values": values}
