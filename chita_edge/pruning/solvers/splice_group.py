"""`splice` on several blocks at a time: the same supports, with one call of each operation for all of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from chita_edge.pruning.solvers.splice import LEAST_SHARE, Spliced


@dataclass(frozen=True)
class Group:
    """Blocks of up to m weights each, padded to m; the last ones of a shorter block are not ``real``.

    Attributes:
        hessian: H of each block, float32 (blocks, m, m); positive definite, the identity where not real.
        dense: w̄, (blocks, m); zero where not real.
        slope: the gradient at w̄, (blocks, m); likewise.
        real: bool (blocks, m).
    """

    hessian: torch.Tensor
    dense: torch.Tensor
    slope: torch.Tensor
    real: torch.Tensor


def splice_group(group: Group, start: torch.Tensor, rounds: int) -> list[Spliced | None]:
    """What `splice` finds for each block, with the largest scores for the projection.

    Args:
        group: the blocks.
        start: bool (blocks, m), the supports to start from, each with at least one weight; weights that are not real
            are not in them.
        rounds: most supports tried.

    Returns:
        The best support tried of each block, its mask (m,), or None where H is not definite on the start.
    """
    half = 0.5 * group.hessian.diagonal(dim1=1, dim2=2)
    gains = 0.25 / half
    pulled = _times(group.hessian, group.dense) - group.slope
    counts, unreal = start.sum(1), ~group.real
    found: list[Spliced | None] = [None] * len(start)
    mask, weights, value = start.clone(), torch.zeros_like(pulled), torch.full((len(start),), torch.inf)
    share = torch.ones(len(start))
    going, tried = torch.arange(len(start)), start
    for number in range(rounds + 1):
        if number:
            # For all blocks: to pick out the Hessians of some would cost more.
            gain = (pulled - _times(group.hessian, weights)).square_().mul_(gains).masked_fill_(mask, 0.0)
            scores = torch.addcmul(gain.mul_(share.square()[:, None]), weights.square(), half)
            scores.masked_fill_(unreal, -1.0)
            tried = _largest(scores[going], counts[going])
            changed = (tried != mask[going]).any(1)
            going, tried = going[changed], tried[changed]
        if not len(going):
            break
        points = _minima(group.hessian, pulled, going, tried, counts)
        better = points.values < value[going]
        for place in better.nonzero()[:, 0].tolist():
            found[int(going[place])] = points.spliced(place, tried[place])
        improved = going[better]
        mask[improved], value[improved] = tried[better], points.values[better]
        weights[improved] = points.scattered(better)
        share[going[~better]] *= 0.5
        # A block whose start has no minimum is given up.
        going = going[(share[going] >= LEAST_SHARE) & torch.isfinite(value[going])]
    return found


@dataclass(frozen=True)
class _Minima:
    """The minima on a support of each of some blocks.

    Attributes:
        places: the support's weights, in ascending order, then others, (blocks, k).
        solved: the weights there, (blocks, k); zero beyond the support.
        factors: lower Cholesky factors, (blocks, k, k), the identity beyond.
        counts: size of each support.
        values: q up to a constant; infinite where H is not definite.
        width: m.
    """

    places: torch.Tensor
    solved: torch.Tensor
    factors: torch.Tensor
    counts: list[int]
    values: torch.Tensor
    width: int

    def spliced(self, place: int, mask: torch.Tensor) -> Spliced:
        count = self.counts[place]
        return Spliced(mask, self.solved[place, :count], self.factors[place, :count, :count])

    def scattered(self, which: torch.Tensor) -> torch.Tensor:
        """The weights of these blocks, (blocks, m)."""
        solved = self.solved[which]
        return solved.new_zeros(len(solved), self.width).scatter_(1, self.places[which], solved)


def _minima(
    hessian: torch.Tensor, pulled: torch.Tensor, blocks: torch.Tensor, masks: torch.Tensor, counts: torch.Tensor
) -> _Minima:
    sizes = counts[blocks].tolist()
    most = max(sizes)
    # A stable sort of the inverted mask puts the support first, in ascending order.
    places = torch.argsort((~masks).to(torch.uint8), dim=1, stable=True)[:, :most]
    systems = torch.empty(len(blocks), most, most)
    right = pulled[blocks].gather(1, places)
    for place, (block, size) in enumerate(zip(blocks.tolist(), sizes, strict=True)):
        inside = places[place, :size]
        systems[place, :size, :size] = hessian[block].index_select(0, inside).index_select(1, inside)
        if size < most:
            systems[place, size:] = 0
            systems[place, :size, size:] = 0
            systems[place].diagonal()[size:] = 1
            right[place, size:] = 0
    factors, failed = torch.linalg.cholesky_ex(systems)
    solved = torch.cholesky_solve(right[:, :, None], factors)[:, :, 0]
    values = torch.where(failed == 0, -0.5 * (right * solved).sum(1), torch.inf)
    return _Minima(places, solved, factors, sizes, values, masks.shape[1])


def _largest(scores: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Masks of the ``counts`` largest scores of each row; as in `top_mask`, the first of equal ones win."""
    order = torch.sort(scores, dim=1, descending=True, stable=True).indices
    chosen = torch.arange(scores.shape[1])[None] < counts[:, None]
    return torch.zeros_like(chosen).scatter_(1, order, chosen)


def _times(matrices: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    return torch.bmm(matrices, vectors[:, :, None])[:, :, 0]
