from __future__ import annotations

import torch

from chita_edge.tuning.views import Augmentation, darkest, shifted_and_flipped


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


def test_uncovers_the_darkest_value_of_each_channel() -> None:
    images = torch.randn(40, 2, 9, 9, generator=torch.Generator().manual_seed(0))
    rng = torch.Generator().manual_seed(1)
    views = Augmentation(max_shift=0.12, dark=True, flip=False).views(images, rng, darkest(images))
    padded = torch.full((40, 2, 11, 11), 0.0) + darkest(images)[:, None, None]
    padded[:, :, 1:10, 1:10] = images
    crops = [padded[:, :, down : down + 9, right : right + 9] for down in range(3) for right in range(3)]
    found = torch.stack([(views == crop).flatten(1).all(1) for crop in crops])
    assert found.any(0).all()
    assert found.any(1).all()


def test_the_darkest_value_is_finite() -> None:
    images = torch.tensor([[[[1.0, 2.0]], [[torch.nan, 3.0]]], [[[-torch.inf, 5.0]], [[4.0, 9.0]]]])
    assert darkest(images).tolist() == [1, 3]
