"""Selection of the largest scores, with ties broken the same way everywhere."""

from __future__ import annotations

import torch

# Below this number of scores a partial sort is faster than two passes of selection.
_FEW = 2048


def top_mask(scores: torch.Tensor, count: int) -> torch.Tensor:
    """Bool mask of the ``count`` largest scores; among equal ones the first in memory win.

    Selection, not sorting: the threshold is the count-th largest value, and only values equal to it are ranked.

    Args:
        scores: float (m,), no NaN.
        count: between 0 and m.

    """
    if count <= 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    if count >= len(scores):
        return torch.ones_like(scores, dtype=torch.bool)
    if len(scores) <= _FEW:
        chosen = torch.topk(scores, count, sorted=False)
        mask = scores >= chosen.values.min()
        if int(mask.sum()) == count:
            return mask
    threshold = torch.kthvalue(scores, len(scores) - count + 1).values
    mask = scores > threshold
    ties = (scores == threshold).nonzero()[: count - int(mask.sum())]
    mask[ties[:, 0]] = True
    return mask
