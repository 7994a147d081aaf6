"""Recalibrate batch norm only where that brings a network closer to the dense one."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from chita_edge.progress import Progress, silent
from chita_edge.tuning.batch_norm import recalibrate_batch_norm

if TYPE_CHECKING:
    from torch import nn

_BATCH = 100


def recalibrated_if_closer(
    model: nn.Module,
    dense: nn.Module,
    images: torch.Tensor,
    *,
    views: int = 1,
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
        seed: likewise.
        progress: likewise.
    """
    other = copy.deepcopy(model)
    recalibrate_batch_norm(other, images, views=views, seed=seed, progress=progress)
    return other if divergence(other, dense, images) < divergence(model, dense, images) else model


def divergence(model: nn.Module, dense: nn.Module, images: torch.Tensor) -> float:
    """Mean KL(dense ‖ model) of the predicted class probabilities, in nats; both in evaluation mode."""
    total = 0.0
    with torch.no_grad():
        for start in range(0, len(images), _BATCH):
            batch = images[start : start + _BATCH]
            log_model, log_dense = (functional.log_softmax(network(batch), dim=-1) for network in (model, dense))
            total += float(functional.kl_div(log_model, log_dense, reduction="sum", log_target=True))
    return total / len(images)
