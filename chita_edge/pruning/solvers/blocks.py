"""What solvers with a block-diagonal Hessian share."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch

from chita_edge.progress import Progress, silent
from chita_edge.pruning.inverse_fisher import InverseFisher

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chita_edge.pruning.problem import Problem


def block_bounds(shape: torch.Size, block: int, rows: int | None = 0) -> list[tuple[int, int]]:
    """Cut a layer's flat weights into the fewest blocks of at most ``block``, of nearly equal length.

    Args:
        shape: of the layer's weight.
        block: most weights of a block, unless a piece that cannot be cut has more.
        rows: where cuts may be, see `Pattern.rows`.
    """
    size = shape.numel()
    piece = size if rows is None else max(1, rows * size // shape[0])
    pieces = -(-size // piece)
    count = -(-pieces // max(1, block // piece))
    edges = [min(size, pieces * number // count * piece) for number in range(count + 1)]
    return list(pairwise(edges))


def walk_blocks(problem: Problem, block: int) -> Iterator[tuple[slice, torch.Tensor]]:
    """Each block's place in a flat vector, and its rows of Aᵀ."""
    for layer, (start, _) in zip(problem.layers, problem.bounds, strict=True):
        for first, last in block_bounds(layer.weight.shape, block):
            yield slice(start + first, start + last), layer.gradients[first:last]


def saliencies(problem: Problem, block: int, progress: Progress = silent) -> torch.Tensor:
    """w̄_j² / (2 [H⁻¹]_jj) with a block-diagonal H, flat (p,): what removing weight j alone costs in Q."""
    total = problem.dense.numel()
    scores = torch.empty_like(problem.dense)
    progress("solve", 0, total)
    for where, columns in walk_blocks(problem, block):
        scores[where] = 0.5 * problem.dense[where].square() / InverseFisher(columns, problem.damping).diagonal()
        progress("solve", where.stop, total)
    return scores
