"""Augmented views of calibration images: shifts and flips, for small images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeGuard

import torch

from chita_edge.network.inputs import Batch

IMAGE_DIMENSIONS = 4  # (n, channels, height, width)


@dataclass(frozen=True)
class Augmentation:
    """Kind of augmentation.

    Attributes:
        max_shift: largest shift as a share of the side.
        dark: what a shift uncovers is as dark as the darkest of all images, which is how networks are usually trained
            (padding of 0 before normalisation); otherwise edges are repeated.
        flip: mirror left and right with probability ½.
    """

    max_shift: float
    dark: bool = False
    flip: bool = True

    def views(self, images: Batch, rng: torch.Generator, darkest: torch.Tensor | None = None) -> Batch:
        """One view of each image; ``darkest`` (channels,) is needed where it is used.

        Inputs of another shape than (n, channels, height, width) are no images and stay as they are.
        """
        if not are_images(images):
            return images
        return shifted_and_flipped(images, rng, self.max_shift, self.flip, darkest if self.dark else None)


def are_images(inputs: Batch) -> TypeGuard[torch.Tensor]:
    """Whether inputs are one floating tensor (n, channels, height, width)."""
    return isinstance(inputs, torch.Tensor) and inputs.ndim == IMAGE_DIMENSIONS and inputs.is_floating_point()


def darkest(images: Batch) -> torch.Tensor | None:
    """Least value of each channel, (channels,), of those that are finite; None of inputs that are no images."""
    if not are_images(images):
        return None
    least = images.amin((0, 2, 3))
    if bool(least.isfinite().all()):
        return least
    return images.nan_to_num(torch.inf, torch.inf, torch.inf).amin((0, 2, 3)).nan_to_num(posinf=0.0)


def shifted_and_flipped(
    images: torch.Tensor,
    rng: torch.Generator,
    max_shift: float = 0.07,
    flip: bool = True,
    fill: torch.Tensor | None = None,
) -> torch.Tensor:
    """A random shift of each image by up to ``max_shift`` of its side, and a flip of every second one.

    Args:
        images: float (n, channels, height, width).
        rng: decides.
        max_shift: largest shift as a share of the side.
        flip: whether to mirror left and right with probability ½.
        fill: what a shift uncovers, (channels,); None repeats the edges.

    Returns:
        The same shape.

    """
    n, _, height, width = images.shape

    def indices(side: int) -> torch.Tensor:
        most = round(max_shift * side)
        shift = torch.randint(-most, most + 1, (n, 1), generator=rng)
        return torch.arange(side)[None] + shift

    rows, columns = indices(height), indices(width)
    mirrored = torch.rand(n, 1, generator=rng) < 0.5 if flip else torch.zeros(n, 1, dtype=torch.bool)
    columns = torch.where(mirrored, columns.flip(1), columns)
    inner_rows, inner_columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    views = images[torch.arange(n)[:, None, None], :, inner_rows[:, :, None], inner_columns[:, None, :]]
    if fill is not None:
        outside = (inner_rows != rows)[:, :, None] | (inner_columns != columns)[:, None, :]
        views = torch.where(outside[..., None].to(images.device), fill, views)
    return views.permute(0, 3, 1, 2)
