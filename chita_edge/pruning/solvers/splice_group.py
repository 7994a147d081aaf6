"""`splice` on several blocks at a time: the same supports, scored together."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from chita_edge.pruning.solvers.splice import LEAST_SHARE, Point, Spliced, minimum


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
    most = int(counts.max())
    first_ones = torch.arange(most) < counts[:, None]
    found: list[Point | None] = [None] * len(start)
    mask, weights, share = start.clone(), torch.zeros_like(pulled), torch.ones(len(start))
    going, tried = list(range(len(start))), start
    for number in range(rounds + 1):
        if number:
            # For all blocks: to pick out the Hessians of some would cost more.
            gain = (pulled - _times(group.hessian, weights)).square_().mul_(gains).masked_fill_(mask, 0.0)
            scores = torch.addcmul(gain.mul_(share.square()[:, None]), weights.square(), half)
            largest = torch.topk(scores.masked_fill_(unreal, -1.0), most, dim=1).indices
            tried = torch.zeros_like(mask).scatter_(1, largest, first_ones)
            changed = (tried != mask).any(1).tolist()
            going = [block for block in going if changed[block]]
        for block in list(going):
            point, known = minimum(group.hessian[block], pulled[block], tried[block]), found[block]
            if point is not None and (known is None or point.value < known.value):
                found[block] = point
                mask[block], weights[block] = tried[block], 0.0
                weights[block, point.inside] = point.weights
                continue
            share[block] *= 0.5
            # A block whose start has no minimum is given up.
            if known is None or share[block] < LEAST_SHARE:
                going.remove(block)
        if not going:
            break
    return [None if point is None else point.spliced() for point in found]


def _times(matrices: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    """Products of symmetric matrices with vectors; rows times matrices are several times faster than the reverse."""
    return torch.bmm(vectors[:, None], matrices)[:, 0]
