"""Variations of few images, for a student that would learn the images by heart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from chita_edge.network.inputs import Batch, SeveralInputs
from chita_edge.tuning.training_augmentation import PLAIN, infer_training_augmentation
from chita_edge.tuning.views import darkest

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn


def distillation_views(
    teacher: nn.Module, images: Batch, *, seed: int = 0
) -> Callable[[Batch, torch.Generator], Batch]:
    """Random variations of a batch, which the teacher can answer as well.

    Those that its batch norm remembers from training (`infer_training_augmentation`); where it knows none, `mixed`
    pairs, of which there are endless many.

    Args:
        teacher: the dense network, in evaluation mode.
        images: calibration images, float32 (n, …).
        seed: of the inference.
    """
    known, dark = infer_training_augmentation(teacher, images, seed=seed), darkest(images)

    def views(batch: Batch, rng: torch.Generator) -> Batch:
        return mixed(batch, rng) if known == PLAIN else known.views(batch, rng, dark)

    return views


def mixed(images: Batch, rng: torch.Generator) -> Batch:
    """Each image with a random share of another one (mixup: Zhang et al. 2018, arXiv 1710.09412, section 2).

    Args:
        images: float (n, …); of several inputs those that are no numbers, such as token ids, stay as they are.
        rng: decides.
    """
    others, share = torch.randperm(len(images), generator=rng), torch.rand(len(images), generator=rng)

    def mix(values: torch.Tensor) -> torch.Tensor:
        part = share.view(-1, *[1] * (values.dim() - 1))
        return part * values + (1 - part) * values[others] if values.is_floating_point() else values

    if isinstance(images, torch.Tensor):
        return mix(images)
    return SeveralInputs(tuple(map(mix, images.tensors)), images.names)
