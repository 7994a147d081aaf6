from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import chita_edge
from chita_edge import ChitaEdgeError
from chita_edge.datasets import LabelledImages, collect
from chita_edge.network.inputs import SeveralInputs

N = 24
IMAGES = torch.randn(N, 3, 8, 8, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(N) % 4


class Pairs(Dataset[Any]):
    """Samples of a function of their number."""

    def __init__(self, item: Callable[[int], Any], size: int = N) -> None:
        self.item, self.size = item, size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Any:
        return self.item(index)


class TwoInputs(nn.Module):
    """An image and a vector."""

    def forward(self, image: torch.Tensor, beside: torch.Tensor) -> torch.Tensor:
        return image.flatten(1)[:, :4] + beside


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(256, 4)).eval()


def batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    yield from zip(IMAGES.split(10), LABELS.split(10), strict=True)


@pytest.mark.parametrize(
    "data",
    [
        IMAGES,
        LabelledImages(IMAGES, LABELS),
        TensorDataset(IMAGES, LABELS),
        DataLoader(TensorDataset(IMAGES, LABELS), batch_size=7),
        batches(),
        list(IMAGES),
        [(image.numpy(), int(label)) for image, label in zip(IMAGES, LABELS, strict=True)],
        [{"image": image, "label": label} for image, label in zip(IMAGES, LABELS, strict=True)],
        Pairs(lambda i: {"image": IMAGES[i], "labels": LABELS[i], "name": f"{i}.png"}),
        (image for image in IMAGES.split(5)),
    ],
)
def test_all_samples_with_their_labels(data: Any) -> None:
    found = collect(data, network()).calibration
    assert isinstance(found.images, torch.Tensor)
    assert found.images.shape == IMAGES.shape
    order = [int(next(k for k in range(N) if torch.equal(IMAGES[k], image))) for image in found.images]
    assert sorted(order) == list(range(N))
    if found.labels is not None:
        assert torch.equal(found.labels, LABELS[order])


def test_a_data_set_is_drawn_from_and_only_what_is_drawn_is_read() -> None:
    read: list[int] = []

    def item(index: int) -> Any:
        read.append(index)
        return IMAGES[index], LABELS[index]

    found = collect(Pairs(item), network(), count=5, seed=3, judge=4)
    again = collect(Pairs(item), network(), count=5, seed=3)
    assert len(found.calibration) == 5
    assert found.rest is not None
    assert len(found.rest) == 4
    assert len(set(read[:9])) == 9
    assert torch.equal(found.calibration.images, again.calibration.images)


def test_an_endless_loader_is_read_as_far_as_needed() -> None:
    found = collect(repeat((IMAGES[:6], LABELS[:6])), network(), count=10, judge=6)
    assert len(found.calibration) == 10
    assert found.rest is not None
    assert len(found.rest) == 6


def test_several_inputs_and_several_labels() -> None:
    data = Pairs(lambda i: ((IMAGES[i], IMAGES[i, 0, 0, :4]), {"boxes": IMAGES[i, 0], "kind": LABELS[i]}))
    found = collect(data, TwoInputs()).calibration
    assert isinstance(found.images, SeveralInputs)
    assert [tuple(tensor.shape) for tensor in found.images.tensors] == [(N, 3, 8, 8), (N, 4)]
    assert isinstance(found.labels, SeveralInputs)
    assert list(found.labels.named()) == ["boxes", "kind"]
    named = collect(Pairs(lambda i: {"beside": IMAGES[i, 0, 0, :4], "image": IMAGES[i]}), TwoInputs()).calibration
    assert isinstance(named.images, SeveralInputs)
    assert named.images.names == ("image", "beside")


def broken(index: int) -> Any:
    if index == 7:
        raise OSError("truncated file")
    return IMAGES[index]


def odd(index: int, other: Any) -> Any:
    return other if index == 7 else (IMAGES[index], LABELS[index])


def not_a_number() -> torch.Tensor:
    image = IMAGES[0].clone()
    image[1, 2, 3] = torch.nan
    return image


@pytest.mark.parametrize(
    ("data", "count", "reason"),
    [
        (Pairs(broken), None, "sample 7 cannot be read: OSError: truncated file"),
        (Pairs(lambda i: odd(i, (not_a_number(), 0))), None, "sample 7 holds NaN"),
        (Pairs(lambda i: odd(i, IMAGES[i])), None, "sample 7 holds 1 input"),
        (Pairs(lambda i: odd(i, (IMAGES[i, :, :7], 0))), None, r"sample 7 is torch.float32 of shape \(3, 7, 8\)"),
        (Pairs(lambda i: IMAGES[i]), 25, "hold 24 samples, 25 calibration samples cannot be drawn"),
        (Pairs(lambda i: IMAGES[i], 0), None, "hold no samples"),
        (iter(()), None, "ended at once. Was it used up before"),
        (batches(), 25, "end after 24 samples; 25 calibration samples are asked for"),
        (iter([IMAGES[:4], (IMAGES[:4], LABELS[:4])]), None, "item 1 holds 1 input.*with labels; item 0 held"),
        (iter([IMAGES[:4], torch.stack([IMAGES[0], not_a_number()])]), None, "item 1, its sample 1, holds NaN"),
        (iter([IMAGES[:4], IMAGES[:4, :2]]), None, r"item 1 is torch.float32 of shape \(4, 2, 8, 8\)"),
        ("images.npz", None, "of type str; give a tensor, a torch Dataset"),
        (17, None, "of type int"),
    ],
)
def test_data_that_do_not_fit_are_a_sentence(data: Any, count: int | None, reason: str) -> None:
    with pytest.raises(ChitaEdgeError, match=reason):
        collect(data, network(), count=count)


def test_prune_takes_data_as_they_are() -> None:
    config = chita_edge.PruneConfig(sparsity=0.5, method="reconstruct")
    loader = DataLoader(TensorDataset(IMAGES, LABELS), batch_size=8)
    found = [chita_edge.prune(network(), data, config) for data in (IMAGES, loader, LabelledImages(IMAGES))]
    for result in found:
        assert torch.equal(result.masks["4.weight"], found[0].masks["4.weight"])
