"""Inference of a network's training augmentation from its batch-norm statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chita_edge.network.batch import copy_network
from chita_edge.network.distance import Answers
from chita_edge.tuning.batch_norm import has_statistics, recalibrate_batch_norm
from chita_edge.tuning.views import Augmentation, are_images

if TYPE_CHECKING:
    from torch import nn

    from chita_edge.network.inputs import Batch
    from chita_edge.network.objective import Objective

PLAIN = Augmentation(max_shift=0.0, flip=False)
CANDIDATES = (
    Augmentation(max_shift=0.07),
    Augmentation(max_shift=0.07, dark=True),
    Augmentation(max_shift=0.125, dark=True),
    PLAIN,
)
_IMAGES = 150


def infer_training_augmentation(
    dense: nn.Module, images: Batch, *, objective: Objective | None = None, seed: int = 0
) -> Augmentation:
    """The augmentation whose statistics change the trained network least.

    Batch norm remembers the views that a network was trained on. A thousand images without them, or with edges
    repeated where the training had black ones, give statistics that cost a network several points even when nothing is
    pruned; the ones it knows cost it nothing. So each candidate recalibrates a copy of the dense network, and the one
    that leaves its predictions closest to what they were is the one. No labels.

    Args:
        dense: the trained network, in evaluation mode; not changed. Without batch norm nothing is known, and
            the images stay as they are.
        images: calibration images; some are used. Inputs of another shape than (n, channels, height, width) stay as
            they are.
        objective: of the dense network; found from its outputs when None.
        seed: of the views.
    """
    if not has_statistics(dense) or not are_images(images):
        return PLAIN
    some = images[:_IMAGES]
    answers = Answers.of(dense, some, objective)
    distances = []
    for candidate in CANDIDATES:
        other = copy_network(dense)
        recalibrate_batch_norm(other, some, augmentation=candidate, seed=seed)
        distances.append(answers.divergence(other))
    return CANDIDATES[distances.index(min(distances))]
