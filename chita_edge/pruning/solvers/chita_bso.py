"""CHITA-BSO: the same, block by block."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

from chita_edge.progress import Progress, silent
from chita_edge.pruning.columns import Work, each
from chita_edge.pruning.quadratic import Quadratic
from chita_edge.pruning.solvers.block_search import search_block
from chita_edge.pruning.solvers.blocks import block_bounds
from chita_edge.pruning.solvers.solver import Solution

if TYPE_CHECKING:
    from chita_edge.pruning.allocation import Constraint
    from chita_edge.pruning.columns import Results
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
        values = torch.zeros(2, dtype=torch.float64)
        moved = torch.zeros(problem.samples)
        bounds = block_bounds(layer.weight.shape, self.block, constraint.pattern.rows)
        # Blocks that lose nothing need no solution.
        kept = {(first, last): int(mask[first:last].sum()) for first, last in bounds}
        bounds = [(first, last) for first, last in bounds if kept[first, last] < last - first]
        works = (
            Work(
                first,
                last,
                _Block(
                    dense[first:last].clone(),
                    mask[first:last].clone(),
                    constraint.part(number, first, last, kept[first, last]),
                    problem.first_order,
                    problem.damping,
                    self.rounds,
                ),
            )
            for first, last in bounds
        )
        for (first, last), found in zip(bounds, each(layer.gradients, works), strict=True):
            weights[first:last], mask[first:last] = found["weights"], found["mask"]
            values += found["values"]
            moved += found["moved"]
            if last < len(mask):
                progress("solve", begin + last, problem.dense.numel())
        return {"weights": weights, "mask": mask, "moved": moved, "values": values}


@dataclass(frozen=True)
class _Block:
    """Solve one block from a mask of its set: weights, mask, how far the residual moves, values before and after."""

    dense: torch.Tensor
    mask: torch.Tensor
    part: Constraint
    first_order: float
    damping: float
    rounds: int

    def __call__(self, columns: torch.Tensor) -> Results:
        samples = columns.shape[1]
        offset = torch.full((samples,), self.first_order)
        quadratic = Quadratic(columns, self.dense, offset, self.damping, constant=-0.5 * samples * self.first_order**2)
        weights, mask = self.dense * self.mask, self.mask
        if mask.any():
            found = search_block(quadratic, mask, self.part, self.rounds)
            weights, mask, residual, old, new = (
                found.weights,
                found.mask,
                found.residual,
                found.before,
                found.objective,
            )
        else:
            residual = quadratic.residual(weights)
            old = new = quadratic.objective_at(weights, residual)
        values = torch.tensor((old, new), dtype=torch.float64)
        return {"weights": weights, "mask": mask, "moved": residual - offset, "values": values}
