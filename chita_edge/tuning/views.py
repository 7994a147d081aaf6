"""Augmented views of calibration images: shifts and flips, for small images."""

from __future__ import annotations

import torch


def shifted_and_flipped(
    images: torch.Tensor, rng: torch.Generator, max_shift: float = 0.07, flip: bool = True
) -> torch.Tensor:
    """A random shift of each image by up to ``max_shift`` of its side, edges repeated, and a flip of every second one.

    Args:
        images: float (n, channels, height, width).
        rng: decides.
        max_shift: largest shift as a share of the side.
        flip: whether to mirror left and right with probability ½.

    Returns:
        The same shape.

    """
    n, _, height, width = images.shape

    def indices(side: int) -> torch.Tensor:
        most = round(max_shift * side)
        shift = torch.randint(-most, most + 1, (n, 1), generator=rng)
        return (torch.arange(side)[None] + shift).clamp(0, side - 1)

    rows, columns = indices(height), indices(width)
    mirrored = torch.rand(n, 1, generator=rng) < 0.5 if flip else torch.zeros(n, 1, dtype=torch.bool)
    columns = torch.where(mirrored, columns.flip(1), columns)
    return images[torch.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
