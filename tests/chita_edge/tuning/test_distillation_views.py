from __future__ import annotations

import pytest
import torch
from torch import nn

from chita_edge.network.inputs import SeveralInputs
from chita_edge.tuning.distillation_views import distillation_views, mixed
from chita_edge.tuning.views import Augmentation, darkest

KNOWN = Augmentation(max_shift=0.125, dark=True)


def test_a_mixed_image_lies_between_itself_and_another_of_the_batch() -> None:
    images = torch.randn(8, 2, 3, 4, generator=torch.Generator().manual_seed(0))
    views = mixed(images, torch.Generator().manual_seed(1))
    assert isinstance(views, torch.Tensor)
    assert views.shape == images.shape
    shares = []
    for image, view in zip(images, views, strict=True):
        found = []
        for other in images:
            way = other - image
            share = float(((view - image) * way).sum() / way.square().sum().clamp_min(1e-9))
            if torch.allclose(view, image + share * way, atol=1e-5) and 0 <= share <= 1:
                found.append(share)
        assert found
        shares.append(max(found))
    assert max(shares) > 0.6 and min(shares) < 0.4
    again = mixed(images, torch.Generator().manual_seed(1))
    assert isinstance(again, torch.Tensor) and torch.equal(again, views)


def test_series_are_mixed_too() -> None:
    rows = torch.randn(5, 6, 9)
    found = mixed(rows, torch.Generator())
    assert isinstance(found, torch.Tensor) and found.shape == rows.shape


def test_several_inputs_are_mixed_alike_and_ids_stay() -> None:
    rows, ids = torch.randn(5, 6, generator=torch.Generator().manual_seed(0)), torch.arange(5)
    found = mixed(SeveralInputs((rows, ids, rows[:, None]), ("a", "b", "c")), torch.Generator().manual_seed(1))
    assert isinstance(found, SeveralInputs) and found.names == ("a", "b", "c")
    first, second, third = found.tensors
    assert torch.equal(first, third[:, 0]) and not torch.equal(first, rows) and torch.equal(second, ids)


def test_views_are_those_that_batch_norm_knows_and_mixed_pairs_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.rand(40, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 14 * 14, 3)).eval()
    found = distillation_views(plain, images)(images, torch.Generator().manual_seed(3))
    wanted = mixed(images, torch.Generator().manual_seed(3))
    assert isinstance(found, torch.Tensor) and isinstance(wanted, torch.Tensor) and torch.equal(found, wanted)

    monkeypatch.setattr(
        "chita_edge.tuning.distillation_views.infer_training_augmentation", lambda *_, **_options: KNOWN
    )
    views = distillation_views(plain, images)(images, torch.Generator().manual_seed(3))
    wanted = KNOWN.views(images, torch.Generator().manual_seed(3), darkest(images))
    assert isinstance(views, torch.Tensor) and isinstance(wanted, torch.Tensor) and torch.equal(views, wanted)
