"""The sparse minima of several blocks' quadratics, found together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from chita_edge.pruning.linalg.back_solve import back_solve
from chita_edge.pruning.linalg.gram import gram
from chita_edge.pruning.quadratic import Quadratic
from chita_edge.pruning.search.splice_group import Group, splice_group

if TYPE_CHECKING:
    from chita_edge.pruning.search.splice import Spliced

# The active set holds the largest so many times the budget, and never less than so many weights.
_ACTIVE = 1.5
_LEAST_ACTIVE = 192
_NEARLY_ALL = 0.9
# The matrix unit's tiles: a product of rows that fill them whole is faster than one of fewer rows that do not.
_TILE = 32
# Where the inexact H leaves such a share of the objective above the minimum, a second step with it leaves far less.
_NEAR = 4e-3
_TINY = 1e-30


@dataclass(frozen=True)
class Blocks:
    """Quadratics over neighbouring weights, each as if the weights of all others kept their dense values.

    Attributes:
        columns: Aᵀ, float32 (m, n).
        dense: w̄, (m,).
        bounds: first and last-plus-one weight of each block, ascending, none empty.
        offset: b, (n,), the residual where all keep their dense values.
        damping: ρ = nλ.
        constant: of each block's objective.

    """

    columns: torch.Tensor
    dense: torch.Tensor
    bounds: tuple[tuple[int, int], ...]
    offset: torch.Tensor
    damping: float
    constant: float = 0.0


@dataclass(frozen=True)
class Found:
    """Sparse weights and their objective.

    Attributes:
        weights: (m,), zero outside the mask.
        mask: bool (m,).
        moved: A (w − w̄), (n,), how far they move the residual; of blocks, the sum.
        objective: q there; of blocks, the sum.
        before: q of the dense weights on the start's support; likewise.
    """

    weights: torch.Tensor
    mask: torch.Tensor
    moved: torch.Tensor
    objective: float
    before: float


def search_blocks(blocks: Blocks, start: torch.Tensor, rounds: int) -> Found:
    """Supports as `splice` finds them, each block with as many weights as its start, and the best weights on them.

    A block is searched on its active set, the largest weights and those of the start, as if all others were zero. Its
    quadratic is taken around the start's weights, where the gradient Aᵀr comes from the float32 columns: only H may be
    less exact.

    Args:
        blocks: the quadratics.
        start: bool (m,), what each block's search starts from.
        rounds: most supports tried.
    """
    places, real = _active(blocks, start)
    weights, mask = blocks.dense * start, start.clone()
    away = weights - blocks.dense
    inside, near, dense = start[places] & real, weights[places] * real, blocks.dense[places]
    residuals = torch.empty(2, len(places), len(blocks.offset))
    hessian, slope = torch.empty(*places.shape, places.shape[1]), torch.empty(places.shape)
    # One block after another, as the columns of one fit into the processor's cache.
    for number, (first, last) in enumerate(blocks.bounds):
        columns = blocks.columns[first:last]
        torch.addmv(blocks.offset, columns.T, away[first:last], out=residuals[0, number])
        active = columns.index_select(0, places[number] - first)
        torch.mv(active, residuals[0, number], out=slope[number])
        gram(active, out=hessian[number])
    slope.add_(near - dense, alpha=blocks.damping).mul_(real)
    hessian.diagonal(dim1=1, dim2=2).add_(blocks.damping)
    if not bool(real.all()):
        hessian.mul_(real[:, :, None] & real[:, None])
        hessian.diagonal(dim1=1, dim2=2).add_(~real)
    found = splice_group(Group(hessian, near, slope, real), inside, rounds)
    for number, spliced in enumerate(found):
        chosen = inside[number] if spliced is None else spliced.mask
        both = (chosen | inside[number]).nonzero()[:, 0]
        where = places[number].index_select(0, both)
        part = _Part(
            blocks.columns.index_select(0, where),
            blocks.dense.index_select(0, where),
            weights.index_select(0, where),
            chosen.index_select(0, both),
            residuals[0, number],
            blocks.damping,
        )
        best, residuals[1, number] = part.best(spliced)
        weights.index_copy_(0, where, best)
        mask.index_copy_(0, where, part.chosen)
    squares = residuals.double().square().sum((1, 2))
    ridges = torch.stack([away, weights - blocks.dense]).double().square().sum(1)
    before, after = (0.5 * (squares + blocks.damping * ridges) + len(places) * blocks.constant).tolist()
    return Found(weights, mask, residuals[1].sum(0) - len(places) * blocks.offset, after, before)


def _active(blocks: Blocks, start: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The active sets.

    Returns:
        Places among all weights, (blocks, a), ascending; and bool (blocks, a), false where a block has fewer weights
        and some place stands in.
    """
    first, last = torch.tensor(blocks.bounds).T
    longest = int((last - first).max())
    real = torch.arange(longest)[None] < (last - first)[:, None]
    places = torch.where(real, first[:, None] + torch.arange(longest), first[:, None])
    most = int((start[places] & real).sum(1).max())
    size = -(-max(round(_ACTIVE * most), _LEAST_ACTIVE) // _TILE) * _TILE
    if size >= _NEARLY_ALL * longest:
        return places, real
    scores = blocks.dense.abs().masked_fill(start, torch.inf)[places].masked_fill_(~real, -1.0)
    largest = torch.topk(scores, size, dim=1, sorted=False).indices.sort(dim=1).values
    return places.gather(1, largest), real.gather(1, largest)


@dataclass(frozen=True)
class _Part:
    """The weights of a block that are not zero at the start or in the end, m of them, all others being zero.

    Attributes:
        columns: their Aᵀ, (m, n).
        dense: w̄, (m,).
        start: the start's weights, (m,).
        chosen: bool (m,), those that are kept.
        residual: at the start, (n,).
        damping: ρ.
    """

    columns: torch.Tensor
    dense: torch.Tensor
    start: torch.Tensor
    chosen: torch.Tensor
    residual: torch.Tensor
    damping: float

    def best(self, spliced: Spliced | None) -> tuple[torch.Tensor, torch.Tensor]:
        """The best weights and the residual there, perhaps from those for an H that is less exact."""
        if not len(self.dense):
            return self.start, self.residual
        chosen = self.chosen.nonzero()[:, 0]
        if spliced is None:
            return self._solved(chosen)
        weights = torch.zeros_like(self.dense).index_copy_(0, chosen, spliced.weights)
        residual = torch.addmv(self.residual, self.columns.T, weights - self.start)
        off = weights - self.dense
        level = float(residual.dot(residual)) + self.damping * float(off.dot(off))
        # A step with the inexact H, as long as is best, makes up for nearly all of what it has missed.
        slope = torch.mv(self.columns, residual).add_(off, alpha=self.damping).index_select(0, chosen)
        down = torch.cholesky_solve(slope[:, None], spliced.factor)[:, 0]
        step = torch.zeros_like(weights).index_copy_(0, chosen, down)
        moved = torch.mv(self.columns.T, step)
        excess = float(slope.dot(down))
        length = excess / max(float(moved.dot(moved)) + self.damping * float(down.dot(down)), _TINY)
        weights.sub_(step, alpha=length)
        if excess <= _NEAR * level:
            return weights, residual.sub_(moved, alpha=length)
        return self._solved(chosen, spliced.factor, weights[chosen])

    def _solved(
        self, chosen: torch.Tensor, factor: torch.Tensor | None = None, guess: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        columns, dense = self.columns.index_select(0, chosen), self.dense[chosen]
        offset = torch.addmv(self.residual, self.columns.T, self.dense * self.chosen - self.start)
        quadratic = Quadratic(columns, dense, offset, self.damping)
        solved = back_solve(quadratic, factor, guess=guess)
        return torch.zeros_like(self.dense).index_put_((chosen,), solved), quadratic.residual(solved)
