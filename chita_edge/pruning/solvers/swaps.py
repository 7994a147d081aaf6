"""Local search over supports of small problems: exact one-for-one swaps, and exact greedy elimination for a start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from chita_edge.pruning.allocation.top import top_mask

if TYPE_CHECKING:
    from chita_edge.pruning.quadratic import Quadratic


_KICKS = 25


@dataclass(frozen=True)
class _Normal:
    """½wᵀHw − bᵀw, which differs from q(w) by a constant; float64."""

    hessian: torch.Tensor
    linear: torch.Tensor

    def value(self, mask: torch.Tensor) -> float:
        """Its least value on a support."""
        right = self.linear[mask]
        return -0.5 * float(right @ torch.linalg.solve(self.hessian[mask][:, mask], right))


def local_search(quadratic: Quadratic, starts: list[torch.Tensor], groups: torch.Tensor | None = None) -> torch.Tensor:
    """The best support that swaps reach from any of the starts or from greedy elimination.

    With P = (H_SS)⁻¹ and w = P b_S, removing i ∈ S costs w_i²/(2P_ii), and adding j afterwards gains

        (g_j + U_ji w_i/P_ii)² / (2(s_j + U_ji²/P_ii)),
        U = H_{S'S} P,  g = b_{S'} − H_{S'S} w,  s_j = H_jj − U_j·H_{Sj},

    with S' the complement of S, all exactly and for all pairs at once. The best swap is made until none gains; then the
    best support found is kicked, by a few random swaps from a fixed seed, and searched from again.

    Args:
        quadratic: q over a few hundred weights at most.
        starts: bool masks (m,), all of the same size in each group.
        groups: int64 (m,); swaps stay within a group. None for one group.

    Returns:
        bool (m,).
    """
    columns = quadratic.columns.double()
    hessian = columns @ columns.T
    trifle = 1e-9 * float(hessian.diagonal().mean()) + 1e-30
    hessian.diagonal().add_(max(quadratic.damping, trifle))
    linear = hessian @ quadratic.dense.double() - columns @ quadratic.offset.double()
    normal = _Normal(hessian, linear)
    group = torch.zeros(len(linear), dtype=torch.int64) if groups is None else groups
    begun = [*starts, _eliminate(normal, starts[0], group)]
    best = min((_swap(normal, mask, group) for mask in begun), key=normal.value)
    least = normal.value(best)
    rng = torch.Generator().manual_seed(0)
    for _ in range(_KICKS):
        found = _swap(normal, _kick(best, group, rng), group)
        value = normal.value(found)
        if value < least:
            best, least = found, value
    return best


def _kick(mask: torch.Tensor, group: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Replace a random half of a support by random others, group by group."""
    scores = torch.rand(len(mask), generator=rng) + 0.5 * mask
    kicked = torch.zeros_like(mask)
    for number in range(int(group.max()) + 1):
        members = (group == number).nonzero()[:, 0]
        kicked[members] = top_mask(scores[members], int(mask[members].sum()))
    return kicked


def _swap(normal: _Normal, mask: torch.Tensor, group: torch.Tensor) -> torch.Tensor:
    mask = mask.clone()
    best = normal.value(mask)
    for _ in range(4 * len(mask)):
        inside, outside = mask.nonzero()[:, 0], (~mask).nonzero()[:, 0]
        if not len(inside) or not len(outside):
            break
        inverse = torch.linalg.inv(normal.hessian[inside][:, inside])
        weights = inverse @ normal.linear[inside]
        between = normal.hessian[outside][:, inside]
        pull = between @ inverse
        gradient = normal.linear[outside] - between @ weights
        slack = (normal.hessian.diagonal()[outside] - (pull * between).sum(1)).clamp_min(1e-30)
        pivot = inverse.diagonal()
        cost = 0.5 * weights.square() / pivot
        gain = 0.5 * (gradient[:, None] + pull * (weights / pivot)).square() / (slack[:, None] + pull.square() / pivot)
        change = cost - gain
        change[group[outside][:, None] != group[inside][None]] = torch.inf
        least = int(change.argmin())
        j, i = outside[least // len(inside)], inside[least % len(inside)]
        mask[i], mask[j] = False, True
        value = normal.value(mask)
        if not value < best - 1e-9 * abs(best):
            mask[i], mask[j] = True, False
            break
        best = value
    return mask


def _eliminate(normal: _Normal, start: torch.Tensor, group: torch.Tensor) -> torch.Tensor:
    """Remove the weight that costs least, one after another, down to the start's number in each group."""
    mask = torch.ones_like(start)
    spare = torch.bincount(group) - torch.bincount(group[start], minlength=int(group.max()) + 1)
    while int(spare.sum()):
        inside = mask.nonzero()[:, 0]
        inverse = torch.linalg.inv(normal.hessian[inside][:, inside])
        cost = 0.5 * (inverse @ normal.linear[inside]).square() / inverse.diagonal()
        cost[spare[group[inside]] == 0] = torch.inf
        leaving = inside[int(cost.argmin())]
        mask[leaving] = False
        spare[group[leaving]] -= 1
    return mask
