"""`splice` on several blocks at a time: the same supports, scored together."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from chita_edge.pruning.search.splice import LEAST_SHARE, Point, Spliced, minimum


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
    """Result of `splice` for each block, with the largest scores for the projection.

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
    going = list(range(len(start)))
    pulled = _times(group.hessian, group.dense, going) - group.slope
    counts, unreal = start.sum(1), ~group.real
    most = int(counts.max())
    first_ones = torch.arange(most) < counts[:, None]
    found: list[Point | None] = [None] * len(start)
    mask, weights, share = start.clone(), torch.zeros_like(pulled), torch.ones(len(start))
    tried = start.clone()
    # Rows of the tensors, taken once: to index them in each round would take longer than what is done with them.
    hessians, right, masks, rows, trials = (each.unbind() for each in (group.hessian, pulled, mask, weights, tried))
    for number in range(rounds + 1):
        if not going:
            break
        if number:
            which = torch.tensor(going)
            missing = pulled[which].sub_(_times(group.hessian, weights, going))
            gain = missing.square_().mul_(gains[which]).masked_fill_(mask[which], 0.0).mul_(share[which, None].square())
            scores = gain.addcmul_(weights[which].square(), half[which]).masked_fill_(unreal[which], -1.0)
            largest = torch.topk(scores, most, dim=1).indices
            tried[which] = torch.zeros_like(scores, dtype=torch.bool).scatter_(1, largest, first_ones[which])
            changed = (tried != mask).any(1).tolist()
            going = [block for block in going if changed[block]]
        for block in list(going):
            point, known = minimum(hessians[block], right[block], trials[block]), found[block]
            if point is not None and (known is None or point.value < known.value):
                masks[block].copy_(trials[block])
                rows[block].zero_().index_copy_(0, point.inside, point.weights)
                found[block] = point
                continue
            share[block] *= 0.5
            # A block whose start has no minimum is given up.
            if known is None or share[block] < LEAST_SHARE:
                going.remove(block)
    # A point's own mask is that of the last trial.
    return [
        None if point is None else Spliced(kept, point.weights, point.factor)
        for point, kept in zip(found, masks, strict=True)
    ]


def _times(matrices: torch.Tensor, vectors: torch.Tensor, which: list[int]) -> torch.Tensor:
    """Products of some of the symmetric matrices with their vectors, (len(which), m)."""
    if 3 * len(which) < len(matrices):
        return torch.stack([torch.mv(matrices[number], vectors[number]) for number in which])
    # To pick out many of the matrices would cost more than it saves; rows times matrices are several times faster than
    # the reverse.
    products = torch.bmm(vectors[:, None], matrices)[:, 0]
    return products if len(which) == len(matrices) else products[which]
