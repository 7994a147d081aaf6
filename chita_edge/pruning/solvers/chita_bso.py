"""CHITA-BSO: the same, block by block."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

from chita_edge.progress import Progress, silent
from chita_edge.pruning.columns import Work, each
from chita_edge.pruning.quadratic import Quadratic
from chita_edge.pruning.solvers.block_search import LARGEST_HESSIAN, Found, search_block, search_blocks
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
        together: blocks that are searched at a time.

    """

    block: int = 500
    rounds: int = 10
    together: int = 8
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
        groups = [bounds[first : first + self.together] for first in range(0, len(bounds), self.together)]
        works = (
            Work(
                group[0][0],
                group[-1][1],
                _Blocks(
                    tuple(
                        _Block(
                            first - group[0][0],
                            dense[first:last].clone(),
                            mask[first:last].clone(),
                            constraint.part(number, first, last, kept[first, last]),
                        )
                        for first, last in group
                    ),
                    problem.first_order,
                    problem.damping,
                    self.rounds,
                ),
            )
            for group in groups
        )
        for group, found in zip(groups, each(layer.gradients, works), strict=True):
            sizes = [last - first for first, last in group]
            parts = torch.split(found["weights"], sizes), torch.split(found["mask"], sizes)
            for (first, last), *part in zip(group, *parts, strict=True):
                weights[first:last], mask[first:last] = part
            values += found["values"]
            moved += found["moved"]
            if group[-1][1] < len(mask):
                progress("solve", begin + group[-1][1], problem.dense.numel())
        return {"weights": weights, "mask": mask, "moved": moved, "values": values}


@dataclass(frozen=True)
class _Block:
    """Where a block begins in its group's columns, its w̄, a mask of its set, and the set."""

    first: int
    dense: torch.Tensor
    mask: torch.Tensor
    part: Constraint


@dataclass(frozen=True)
class _Blocks:
    """Solve some blocks: weights, masks, how far they move the residual, the sum of their values before and after."""

    blocks: tuple[_Block, ...]
    first_order: float
    damping: float
    rounds: int

    def __call__(self, columns: torch.Tensor) -> Results:
        samples = columns.shape[1]
        offset = torch.full((samples,), self.first_order)
        quadratics = [
            Quadratic(
                columns[block.first : block.first + len(block.dense)],
                block.dense,
                offset,
                self.damping,
                constant=-0.5 * samples * self.first_order**2,
            )
            for block in self.blocks
        ]
        found = self._search(quadratics)
        return {
            "weights": torch.cat([point.weights for point in found]),
            "mask": torch.cat([point.mask for point in found]),
            "moved": torch.stack([point.residual for point in found]).sum(0) - len(found) * offset,
            "values": torch.tensor([(point.before, point.objective) for point in found], dtype=torch.float64).sum(0),
        }

    def _search(self, quadratics: list[Quadratic]) -> list[Found]:
        """The blocks' solutions; unstructured ones are searched together."""
        found: dict[int, Found] = {}
        together = []
        for number, (block, quadratic) in enumerate(zip(self.blocks, quadratics, strict=True)):
            if not block.mask.any():
                weights = torch.zeros_like(block.dense)
                residual = quadratic.residual(weights)
                value = quadratic.objective_at(weights, residual)
                found[number] = Found(weights, block.mask, residual, value, value)
            elif block.part.pattern.rows == 0 and len(block.mask) <= LARGEST_HESSIAN:
                together.append(number)
            else:
                found[number] = search_block(quadratic, block.mask, block.part, self.rounds)
        if together:
            points = search_blocks(
                [quadratics[number] for number in together],
                [self.blocks[number].mask for number in together],
                self.rounds,
            )
            found.update(zip(together, points, strict=True))
        return [found[number] for number in range(len(quadratics))]
