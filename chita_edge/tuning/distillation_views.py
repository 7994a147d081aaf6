"""Variations of few images, for a student that would learn the images by heart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from chita_edge.tuning.training_augmentation import PLAIN, infer_training_augmentation
from chita_edge.tuning.views import darkest

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn


def distillation_views(
    teacher: nn.Module, images: torch.Tensor, *, seed: int = 0
) -> Callable[[torch.Tensor, torch.Generator], torch.Tensor]:
    """Random variations of a batch, which the teacher can answer as well.

    Those that its batch norm remembers from training (`infer_training_augmentation`); where it knows none, `mixed`
    pairs, of which there are endless many.

    Args:
        teacher: the dense network, in evaluation mode.
        images: calibration images, float32 (n, …).
        seed: of the inference.
    """
    known, dark = infer_training_augmentation(teacher, images, seed=seed), darkest(images)

    def views(batch: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        if known == PLAIN:
            return mixed(batch, rng)
        seen = known.views(batch, rng, dark)
        assert isinstance(seen, torch.Tensor)  # noqa: S101 (of a tensor)
        return seen

    return views


def mixed(images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Each image with a random share of another one (mixup: Zhang et al. 2018, arXiv 1710.09412, section 2).

    Args:
        images: float (n, …).
        rng: decides.
    """
    others = torch.randperm(len(images), generator=rng)
    share = torch.rand(len(images), *[1] * (images.dim() - 1), generator=rng)
    return share * images + (1 - share) * images[others]
