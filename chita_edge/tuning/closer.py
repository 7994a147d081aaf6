"""Recalibrate batch norm only where that brings a network closer to the dense one."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from chita_edge.progress import Progress, silent
from chita_edge.tuning.batch_norm import recalibrate_batch_norm
from chita_edge.tuning.divergence import divergence
from chita_edge.tuning.familiar import familiar_augmentation

if TYPE_CHECKING:
    import torch
    from torch import nn

    from chita_edge.tuning.views import Augmentation


def recalibrated_if_closer(
    model: nn.Module,
    dense: nn.Module,
    images: torch.Tensor,
    *,
    views: int = 1,
    augmentation: Augmentation | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> nn.Module:
    """The model, or a recalibrated copy of it if its predictions are closer to the dense network's on these images.

    Recalibration helps a network whose layers were refitted a little; but channels that a refit could explain only in
    part have little variance left, and scaling that up to 1 amplifies their error. Which of the two wins depends on the
    sparsity, so it is measured, by the Kullback-Leibler divergence from the dense network's predictions. No labels.

    Args:
        model: in evaluation mode; not changed.
        dense: what it should imitate; in evaluation mode.
        images: calibration images.
        views: see `recalibrate_batch_norm`.
        augmentation: likewise; what the dense network knows (`familiar_augmentation`) when None.
        seed: likewise.
        progress: likewise.
    """
    if augmentation is None:
        augmentation = familiar_augmentation(dense, images, seed=seed)
    distance = divergence(model, dense, images)
    for passes in sorted({1, views}):  # one pass tells already when recalibration is not for this network
        other = copy.deepcopy(model)
        recalibrate_batch_norm(other, images, views=passes, augmentation=augmentation, seed=seed, progress=progress)
        if not divergence(other, dense, images) < distance:
            return model
    return other
