"""The sparse minimum of one block's quadratic."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from chita_edge.pruning.linalg.back_solve import back_solve
from chita_edge.pruning.linalg.gram import gram
from chita_edge.pruning.patterns.cut import Cut
from chita_edge.pruning.search.block_group import Blocks, Found, search_blocks
from chita_edge.pruning.search.iht import iht
from chita_edge.pruning.search.splice import Spliced, splice

if TYPE_CHECKING:
    from collections.abc import Callable

    from chita_edge.pruning.allocation import Constraint
    from chita_edge.pruning.quadratic import Quadratic

LARGEST_HESSIAN = 2048
_IHT_ITERATIONS = 5


def search_block(quadratic: Quadratic, start: torch.Tensor, part: Constraint, rounds: int) -> Found:
    """The best of what splicing (`splice`), or for large blocks iterating (`iht`), finds, with its best weights.

    Never above the start's support with its best weights.

    Args:
        quadratic: q over the block's m weights.
        start: bool (m,), a mask of the set.
        part: the set.
        rounds: most supports tried.
    """
    if not bool(start.any()):
        return _finished(quadratic, start, quadratic.objective(torch.zeros_like(quadratic.dense)))
    if len(start) > LARGEST_HESSIAN:
        before = quadratic.objective(quadratic.dense * start)
        found = iht(quadratic, quadratic.dense * start, start, part.project, max_iterations=_IHT_ITERATIONS)
        points = (_finished(quadratic, mask, before) for mask in (start, found.mask))
        return min(points, key=lambda point: point.objective)
    if part.pattern.cut == Cut.ANYWHERE:
        whole = ((0, len(start)),)
        block = Blocks(
            quadratic.columns, quadratic.dense, whole, quadratic.offset, quadratic.damping, quadratic.constant
        )
        return search_blocks(block, start, rounds)
    return spliced(quadratic, start, part.project, rounds)


def spliced(
    quadratic: Quadratic, start: torch.Tensor, project: Callable[[torch.Tensor], torch.Tensor], rounds: int
) -> Found:
    """`splice` on the block's Gram matrix, then the best weights on the support found; see `search_block`."""
    before = quadratic.objective(quadratic.dense * start)
    hessian = gram(quadratic.columns)
    hessian.diagonal().add_(quadratic.damping)
    slope = torch.mv(quadratic.columns, quadratic.offset)
    found = splice(hessian, quadratic.dense, slope, start, project, rounds)
    return _finished(quadratic, start if found is None else found.mask, before, found)


def _finished(quadratic: Quadratic, mask: torch.Tensor, before: float, found: Spliced | None = None) -> Found:
    """The best weights on a support, of which a good guess may be known."""
    chosen = mask.nonzero()[:, 0]
    inner = quadratic.restrict(chosen)
    solved = back_solve(inner) if found is None else back_solve(inner, found.factor, guess=found.weights)
    weights = torch.zeros_like(quadratic.dense)
    weights[chosen] = solved
    residual = inner.residual(solved)
    return Found(weights, mask, residual - quadratic.offset, inner.objective_at(solved, residual), before)
