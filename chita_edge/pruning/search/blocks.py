"""Common parts of the solvers with a block-diagonal Hessian."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch

from chita_edge.progress import Progress, silent
from chita_edge.pruning.columns import Work, each
from chita_edge.pruning.linalg.back_solve import back_solve
from chita_edge.pruning.linalg.inverse_fisher import InverseFisher
from chita_edge.pruning.patterns.cut import Cut
from chita_edge.pruning.quadratic import Quadratic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chita_edge.pruning.columns import Results
    from chita_edge.pruning.problem import Problem


def block_bounds(shape: torch.Size, block: int, cut: Cut = Cut.ANYWHERE) -> list[tuple[int, int]]:
    """Cut a layer's flat weights into the fewest blocks of at most ``block``, of nearly equal length.

    Args:
        shape: of the layer's weight.
        block: most weights of a block, unless a piece that cannot be cut has more.
        cut: where the layer may be split, `Pattern.cut`.
    """
    size = shape.numel()
    piece = cut.piece(size, shape[0])
    pieces = -(-size // piece)
    count = -(-pieces // max(1, block // piece))
    edges = [min(size, pieces * number // count * piece) for number in range(count + 1)]
    return list(pairwise(edges))


def walk_blocks(problem: Problem, block: int) -> Iterator[tuple[slice, torch.Tensor]]:
    """Each block's place in a flat vector, and its rows of Aᵀ."""
    for layer, (start, _) in zip(problem.layers, problem.bounds, strict=True):
        for first, last in block_bounds(layer.weight.shape, block):
            yield slice(start + first, start + last), layer.gradients[first:last]


def each_block(
    problem: Problem, block: int, work: Callable[[slice], Callable[[torch.Tensor], Results]]
) -> Iterator[tuple[slice, Results]]:
    """Map a function over the blocks, on all processes; yields each block's place in a flat vector and its result.

    Args:
        problem: its layers are cut.
        block: most weights of a block.
        work: from the block's place to what is done with its rows of Aᵀ, see `Work.run`; called for a few blocks ahead.
    """
    for layer, (start, _) in zip(problem.layers, problem.bounds, strict=True):
        bounds = block_bounds(layer.weight.shape, block)
        works = (Work(first, last, work(slice(start + first, start + last))) for first, last in bounds)
        for (first, last), results in zip(bounds, each(layer.gradients, works), strict=True):
            yield slice(start + first, start + last), results


@dataclass(frozen=True)
class _Saliency:
    dense: torch.Tensor
    damping: float

    def __call__(self, columns: torch.Tensor) -> Results:
        return {"scores": 0.5 * self.dense.square() / InverseFisher(columns, self.damping).diagonal()}


def saliencies(problem: Problem, block: int, progress: Progress = silent) -> torch.Tensor:
    """w̄_j² / (2 [H⁻¹]_jj) with a block-diagonal H, flat (p,): the cost in Q of removing weight j alone."""
    total = problem.dense.numel()
    scores = torch.empty_like(problem.dense)
    progress("solve", 0, total)
    for where, found in each_block(
        problem, block, lambda where: _Saliency(problem.dense[where].clone(), problem.damping)
    ):
        scores[where] = found["scores"]
        progress("solve", where.stop, total)
    return scores


@dataclass(frozen=True)
class BackSolve:
    """The best weights of a block on a given support; as ``weights``.

    Attributes:
        dense: w̄, (m,).
        mask: bool (m,).
        first_order: the residual's start, the same for all samples.
        damping: nλ.
    """

    dense: torch.Tensor
    mask: torch.Tensor
    first_order: float
    damping: float

    def __call__(self, columns: torch.Tensor) -> Results:
        """Solve."""
        offset = torch.full((columns.shape[1],), self.first_order)
        kept = self.mask.nonzero()[:, 0]
        weights = torch.zeros_like(self.dense)
        weights[kept] = back_solve(Quadratic(columns, self.dense, offset, self.damping).restrict(kept))
        return {"weights": weights}
