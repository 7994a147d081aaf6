"""CHITA-BSO: the same, block by block."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

from chita_edge.progress import Progress, silent
from chita_edge.pruning.columns import Work, each
from chita_edge.pruning.patterns.cut import Cut
from chita_edge.pruning.quadratic import Quadratic
from chita_edge.pruning.search.block_group import Blocks, search_blocks
from chita_edge.pruning.search.block_search import LARGEST_HESSIAN, search_block
from chita_edge.pruning.search.blocks import block_bounds
from chita_edge.pruning.solvers.solver import Solution

if TYPE_CHECKING:
    from chita_edge.pruning.allocation import Constraint
    from chita_edge.pruning.columns import Results
    from chita_edge.pruning.problem import Problem
    from chita_edge.pruning.search.block_group import Found


@dataclass(frozen=True)
class ChitaBso:
    """CHITA with a block-diagonal Hessian (Benbaki et al. 2023, section 3.3): blocks of weights inside a layer.

    Each block keeps as many weights as the projection of w̄ onto the constraint leaves in it. With fewer samples than
    weights the full empirical Fisher is mostly noise between distant weights; blocks ignore that noise, and networks
    pruned so are better although the whole quadratic is larger.

    Attributes:
        block: most weights of a block.
        rounds: most supports tried in a block.
        together: blocks that are searched at a time.

    """

    block: int = 500
    rounds: int = 10
    together: int = 16
    name: str = "chita_bso"
    needs_gradients: bool = True

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
        bounds = block_bounds(layer.weight.shape, self.block, constraint.pattern.cut)
        # Blocks that lose nothing need no solution.
        kept = {(first, last): int(mask[first:last].sum()) for first, last in bounds}
        bounds = [(first, last) for first, last in bounds if kept[first, last] < last - first]
        groups = [bounds[first : first + self.together] for first in range(0, len(bounds), self.together)]
        works = (
            Work(
                group[0][0],
                group[-1][1],
                _Group(
                    dense[group[0][0] : group[-1][1]].clone(),
                    mask[group[0][0] : group[-1][1]].clone(),
                    tuple((first - group[0][0], last - group[0][0]) for first, last in group),
                    tuple(constraint.part(number, first, last, kept[first, last]) for first, last in group),
                    problem.first_order,
                    problem.damping,
                    self.rounds,
                ),
            )
            for group in groups
        )
        for group, found in zip(groups, each(layer.gradients, works), strict=True):
            first, last = group[0][0], group[-1][1]
            weights[first:last], mask[first:last] = found["weights"], found["mask"]
            values += found["values"]
            moved += found["moved"]
            if last < len(mask):
                progress("solve", begin + last, problem.dense.numel())
        return {"weights": weights, "mask": mask, "moved": moved, "values": values}


@dataclass(frozen=True)
class _Group:
    """Solve some blocks: weights, masks, how far they move the residual, the sum of their values before and after.

    Attributes:
        dense: w̄ of the blocks, and of those between them that lose nothing, (m,).
        mask: bool (m,), a mask of the blocks' sets.
        bounds: where in those the blocks are.
        parts: their sets.
        first_order: φ.
        damping: nλ.
        rounds: most supports tried in a block.
    """

    dense: torch.Tensor
    mask: torch.Tensor
    bounds: tuple[tuple[int, int], ...]
    parts: tuple[Constraint, ...]
    first_order: float
    damping: float
    rounds: int

    def __call__(self, columns: torch.Tensor) -> Results:
        # A tenth of the time is that of calls, and each does less where nothing can be differentiated.
        with torch.inference_mode():
            return self._results(columns)

    def _results(self, columns: torch.Tensor) -> Results:
        weights, mask = self.dense * self.mask, self.mask.clone()
        solved = self._search(columns)
        for (first, last), found in solved:
            weights[first:last], mask[first:last] = found.weights, found.mask
        return {
            "weights": weights,
            "mask": mask,
            "moved": torch.stack([found.moved for _, found in solved]).sum(0),
            "values": torch.tensor([(found.before, found.objective) for _, found in solved], dtype=torch.float64).sum(
                0
            ),
        }

    def _search(self, columns: torch.Tensor) -> list[tuple[tuple[int, int], Found]]:
        """Search of the blocks' supports; unstructured blocks are searched together."""
        offset = torch.full((columns.shape[1],), self.first_order)
        constant = -0.5 * len(offset) * self.first_order**2
        longest = max(last - first for first, last in self.bounds)
        if self.parts[0].pattern.cut == Cut.ANYWHERE and longest <= LARGEST_HESSIAN:
            blocks = Blocks(columns, self.dense, self.bounds, offset, self.damping, constant)
            return [((0, len(self.dense)), search_blocks(blocks, self.mask, self.rounds))]
        solved = []
        for (first, last), part in zip(self.bounds, self.parts, strict=True):
            quadratic = Quadratic(columns[first:last], self.dense[first:last], offset, self.damping, constant)
            solved.append(((first, last), search_block(quadratic, self.mask[first:last], part, self.rounds)))
        return solved
