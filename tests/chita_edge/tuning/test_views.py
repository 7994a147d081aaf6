from __future__ import annotations

import torch

from chita_edge.tuning.views import shifted_and_flipped


def test_each_view_is_a_shift_or_its_mirror_image() -> None:
    images = torch.arange(2 * 3 * 10 * 10.0).view(2, 3, 10, 10)
    views = shifted_and_flipped(images, torch.Generator().manual_seed(0), max_shift=0.1)
    for image, view in zip(images, views, strict=True):
        options = []
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                rows = (torch.arange(10) + down).clamp(0, 9)
                columns = (torch.arange(10) + right).clamp(0, 9)
                moved = image[:, rows][:, :, columns]
                options += [moved, moved.flip(2)]
        assert any(torch.equal(view, option) for option in options)


def test_without_shift_and_flip_nothing_changes() -> None:
    images = torch.randn(4, 1, 6, 7)
    assert torch.equal(shifted_and_flipped(images, torch.Generator(), max_shift=0.0, flip=False), images)


def test_about_half_is_mirrored() -> None:
    images = torch.zeros(400, 1, 4, 4)
    images[:, :, :, 0] = 1
    views = shifted_and_flipped(images, torch.Generator().manual_seed(0), max_shift=0.0)
    assert 150 < int(views[:, 0, 0, 3].sum()) < 250
