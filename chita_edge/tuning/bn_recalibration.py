"""Batch-norm recalibration, kept only where it brings a network closer to the dense one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chita_edge.network.batch import copy_network
from chita_edge.network.distance import Answers
from chita_edge.progress import Progress, silent
from chita_edge.tuning.batch_norm import recalibrate_batch_norm
from chita_edge.tuning.training_augmentation import infer_training_augmentation

if TYPE_CHECKING:
    from torch import nn

    from chita_edge.network.inputs import Batch
    from chita_edge.network.objective import Objective
    from chita_edge.tuning.views import Augmentation


@dataclass(frozen=True)
class Recalibration:
    """A network, recalibrated or not, and its distance from the dense one."""

    model: nn.Module
    divergence: float


def recalibrate_bn_if_better(
    model: nn.Module,
    dense: nn.Module,
    images: Batch,
    *,
    views: int = 1,
    augmentation: Augmentation | None = None,
    objective: Objective | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> nn.Module:
    """The model, or a recalibrated copy of it if its predictions are closer to the dense network's on these images.

    Recalibration helps a network whose layers were refitted a little; but channels that a refit could explain only in
    part have little variance left, and scaling that up to 1 amplifies their error. Which of the two wins depends on the
    sparsity, so it is measured, by the distance from the dense network's outputs (`Objective.distance`). No labels.

    Args:
        model: in evaluation mode; not changed.
        dense: what it should imitate; in evaluation mode.
        images: calibration images.
        views: see `recalibrate_batch_norm`.
        augmentation: likewise; what the dense network knows (`infer_training_augmentation`) when None.
        objective: of the dense network; found from its outputs when None.
        seed: see `recalibrate_batch_norm`.
        progress: likewise.
    """
    answers = Answers.of(dense, images, objective)
    if augmentation is None:
        augmentation = infer_training_augmentation(dense, images, objective=answers.objective, seed=seed)
    return best_recalibration(
        model, answers, images, views=views, augmentation=augmentation, seed=seed, progress=progress
    ).model


def best_recalibration(
    model: nn.Module,
    answers: Answers,
    images: Batch,
    *,
    views: int = 1,
    augmentation: Augmentation,
    seed: int = 0,
    progress: Progress = silent,
) -> Recalibration:
    """As `recalibrate_bn_if_better`, with the dense network's outputs given, perhaps for fewer images."""
    distance = answers.divergence(model)
    for passes in sorted({1, views}):  # one pass tells already when recalibration is not for this network
        other = copy_network(model)
        recalibrate_batch_norm(other, images, views=passes, augmentation=augmentation, seed=seed, progress=progress)
        found = answers.divergence(other)
        if not found < distance:
            return Recalibration(model, distance)
    return Recalibration(other, found)
