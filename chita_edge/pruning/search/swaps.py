"""Local search over supports of small problems: exact one-for-one swaps from many starts at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from chita_edge.pruning.quadratic import Quadratic


_RANDOM_STARTS = 24
_WAVES = 2


@dataclass(frozen=True)
class _Normal:
    """½wᵀHw − bᵀw, which differs from q(w) by a constant; float64."""

    hessian: torch.Tensor
    linear: torch.Tensor

    def values(self, inside: torch.Tensor) -> torch.Tensor:
        """Its least values on supports given by their indices, (starts, k)."""
        right = self.linear[inside]
        systems = self.hessian[inside[:, :, None], inside[:, None, :]]
        solved: torch.Tensor = torch.linalg.solve(systems, right)
        return -0.5 * (right * solved).sum(1)


def local_search(quadratic: Quadratic, starts: list[torch.Tensor], groups: torch.Tensor | None = None) -> torch.Tensor:
    """The best support that swaps reach from the starts, from greedy elimination, and from random supports.

    With P = (H_SS)⁻¹ and w = P b_S, removing i ∈ S costs w_i²/(2P_ii), and adding j afterwards gains

        (g_j + U_ji w_i/P_ii)² / (2(s_j + U_ji²/P_ii)),
        U = H_{S'S} P,  g = b_{S'} − H_{S'S} w,  s_j = H_jj − U_j·H_{Sj},

    with S' the complement of S, all exactly and for all pairs at once. The best swap is made until none gains. The
    second wave starts from the best support found, half of it replaced at random; the seed is fixed.

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
    if not bool(starts[0].any()) or bool(starts[0].all()):
        return starts[0]
    rng = torch.Generator().manual_seed(0)
    masks = torch.stack([*starts, _eliminate(normal, starts[0], group)])
    for wave in range(_WAVES):
        kept = 0.5 * masks[0] if wave else torch.zeros(len(linear))
        masks = _swap(normal, torch.cat([masks, _random(starts[0], kept, group, rng)]), group)
        masks = masks[normal.values(_inside(masks)).argmin()][None]
    return masks[0]


def _inside(masks: torch.Tensor) -> torch.Tensor:
    """Indices of the masks' members, (starts, k), ascending; all masks hold as many."""
    return masks.nonzero()[:, 1].view(len(masks), -1)


def _random(like: torch.Tensor, kept: torch.Tensor, group: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Random supports with as many members of each group, those of a larger ``kept`` more likely, (starts, m)."""
    scores = torch.rand(_RANDOM_STARTS, len(like), generator=rng) + kept
    chosen = torch.zeros(scores.shape, dtype=torch.bool)
    for number in range(int(group.max()) + 1):
        members = (group == number).nonzero()[:, 0]
        largest = torch.topk(scores[:, members], int(like[members].sum()), dim=1).indices
        chosen.scatter_(1, members[largest], True)
    return chosen


def _swap(normal: _Normal, masks: torch.Tensor, group: torch.Tensor) -> torch.Tensor:
    """Make the best swap in each mask (starts, m) until none gains."""
    masks = masks.clone()
    least = normal.values(_inside(masks))
    going = torch.arange(len(masks))
    for _ in range(4 * masks.shape[1]):
        inside, outside = _inside(masks[going]), _inside(~masks[going])
        inverse = torch.linalg.inv(normal.hessian[inside[:, :, None], inside[:, None, :]])
        weights = (inverse @ normal.linear[inside][:, :, None])[:, :, 0]
        between = normal.hessian[outside[:, :, None], inside[:, None, :]]
        pull = between @ inverse
        gradient = normal.linear[outside] - (between @ weights[:, :, None])[:, :, 0]
        slack = (normal.hessian.diagonal()[outside] - (pull * between).sum(2)).clamp_min(1e-30)
        pivot = inverse.diagonal(dim1=1, dim2=2)
        cost = (0.5 * weights.square() / pivot)[:, None]
        moved = gradient[:, :, None] + pull * (weights / pivot)[:, None]
        change = cost - 0.5 * moved.square() / (slack[:, :, None] + pull.square() / pivot[:, None])
        change[group[outside][:, :, None] != group[inside][:, None]] = torch.inf
        best = change.flatten(1).argmin(1, keepdim=True)
        tried = masks[going]
        tried.scatter_(1, outside.gather(1, best // inside.shape[1]), True)
        tried.scatter_(1, inside.gather(1, best % inside.shape[1]), False)
        allowed = torch.isfinite(change.flatten(1).gather(1, best))[:, 0]
        values = torch.where(allowed, normal.values(_inside(tried)), torch.inf)
        gains = values < least[going] - 1e-9 * least[going].abs()
        going = going[gains]
        if not len(going):
            break
        masks[going], least[going] = tried[gains], values[gains]
    return masks


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
