"""The sparse minimum of one block's quadratic."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from chita_edge.pruning.allocation.top import top_mask
from chita_edge.pruning.back_solve import back_solve
from chita_edge.pruning.gram import gram
from chita_edge.pruning.solvers.iht import iht
from chita_edge.pruning.solvers.splice import Spliced, splice
from chita_edge.pruning.solvers.splice_group import Group, splice_group

if TYPE_CHECKING:
    from collections.abc import Callable

    from chita_edge.pruning.allocation import Constraint
    from chita_edge.pruning.quadratic import Quadratic

LARGEST_HESSIAN = 2048
# The active set holds the largest so many times the budget, and never less than so many weights.
_ACTIVE = 1.5
_LEAST_ACTIVE = 192
_NEARLY_ALL = 0.9
_IHT_ITERATIONS = 5


@dataclass(frozen=True)
class Found:
    """A sparse point of a block, its residual and q there, and q of the dense weights on the start's support."""

    weights: torch.Tensor
    mask: torch.Tensor
    residual: torch.Tensor
    objective: float
    before: float

    def spread(self, places: torch.Tensor, size: int) -> Found:
        """The same among more weights, the others zero."""
        weights, mask = self.weights.new_zeros(size), self.mask.new_zeros(size)
        weights[places], mask[places] = self.weights, self.mask
        return replace(self, weights=weights, mask=mask)


def search_block(quadratic: Quadratic, start: torch.Tensor, part: Constraint, rounds: int) -> Found:
    """The best of what splicing (`splice`), or for large blocks iterating (`iht`), finds, with its best weights.

    Never above the start's support with its best weights.

    Args:
        quadratic: q over the block's m weights.
        start: bool (m,), a mask of the set.
        part: the set.
        rounds: most supports tried.
    """
    if len(start) > LARGEST_HESSIAN:
        before = quadratic.objective(quadratic.dense * start)
        found = iht(quadratic, quadratic.dense * start, start, part.project, max_iterations=_IHT_ITERATIONS)
        points = (_finished(quadratic, mask, before) for mask in (start, found.mask))
        return min(points, key=lambda point: point.objective)
    if part.pattern.rows == 0:
        return search_blocks([quadratic], [start], rounds)[0]
    return spliced(quadratic, start, part.project, rounds)


def search_blocks(quadratics: list[Quadratic], starts: list[torch.Tensor], rounds: int) -> list[Found]:
    """The same for several unstructured blocks at a time, of at most LARGEST_HESSIAN weights, with one kept at least.

    Each is searched on its active set: the largest weights, and those of the start.
    """
    actives = [_active(quadratic, start) for quadratic, start in zip(quadratics, starts, strict=True)]
    parts = [
        quadratic if active is None else quadratic.restrict(active)
        for quadratic, active in zip(quadratics, actives, strict=True)
    ]
    masks = [
        start if active is None else start.index_select(0, active)
        for start, active in zip(starts, actives, strict=True)
    ]
    width = max(map(len, masks))
    hessian, real = torch.zeros(len(parts), width, width), torch.zeros(len(parts), width, dtype=torch.bool)
    dense, slope = torch.zeros(2, len(parts), width)
    start = real.clone()
    for number, (part, mask) in enumerate(zip(parts, masks, strict=True)):
        m = len(mask)
        hessian[number, :m, :m] = gram(part.columns)
        hessian[number].diagonal()[:m] += part.damping
        hessian[number].diagonal()[m:] = 1.0
        torch.mv(part.columns, part.offset, out=slope[number, :m])
        dense[number, :m], real[number, :m], start[number, :m] = part.dense, True, mask
    found = []
    for part, mask, active, quadratic, best in zip(
        parts, masks, actives, quadratics, splice_group(Group(hessian, dense, slope, real), start, rounds), strict=True
    ):
        before = part.objective(part.dense * mask)
        point = _finished(part, mask if best is None else best.mask[: len(mask)], before, best)
        found.append(point if active is None else point.spread(active, len(quadratic.dense)))
    return found


def _active(quadratic: Quadratic, start: torch.Tensor) -> torch.Tensor | None:
    """The indices that a block's search is confined to; None for all."""
    size = max(round(_ACTIVE * int(start.sum())), _LEAST_ACTIVE)
    if size >= _NEARLY_ALL * len(start):
        return None
    return top_mask(quadratic.dense.abs().masked_fill(start, torch.inf), size).nonzero()[:, 0]


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
    return Found(weights, mask, residual, inner.objective_at(solved, residual), before)
