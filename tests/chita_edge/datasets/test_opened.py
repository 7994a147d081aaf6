from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from chita_edge import ChitaEdgeError
from chita_edge.datasets.errors import DataError
from chita_edge.datasets.opened import open_data
from chita_edge.datasets.transform import TransformConfig
from chita_edge.network.inputs import SeveralInputs


class Words(nn.Module):
    """Token ids and a mask to three classes."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(9, 3)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return (self.table(ids) * mask[..., None]).mean(1)


def network(channels: int = 3) -> nn.Module:
    return nn.Sequential(nn.Conv2d(channels, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)).eval()


def folder(path: Path, count: int, classes: tuple[str, ...] = ("cat", "dog")) -> Path:
    for number in range(count):
        file = path / classes[number % len(classes)] / f"{number:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 6), (number, 2 * number, 0)).save(file)
    return path


def test_a_folder_is_drawn_from_and_the_rest_judges(tmp_path: Path) -> None:
    found = open_data(folder(tmp_path, 12), network(), count=8, transform=TransformConfig(resize=4))
    assert found.calibration.images.shape == (8, 3, 4, 4)  # type: ignore[union-attr]
    assert len(found.judging) == 4
    assert not found.seen
    assert found.calibration.labels.dtype == torch.int64
    alone = open_data(tmp_path, network())
    assert (len(alone.calibration), len(alone.judging), alone.seen) == (12, 12, True)


def test_folders_of_training_and_test_images(tmp_path: Path) -> None:
    folder(tmp_path / "train", 6)
    folder(tmp_path / "val", 4)
    found = open_data(tmp_path, network())
    assert (len(found.calibration), len(found.judging), found.seen) == (6, 4, False)
    other = open_data(tmp_path / "train", network(), validation=tmp_path / "val")
    assert torch.equal(other.judging.images, found.judging.images)  # type: ignore[arg-type]


def test_damaged_images_are_left_out_and_counted(tmp_path: Path) -> None:
    folder(tmp_path, 12)
    for name in ("cat/00.png", "dog/01.png"):
        (tmp_path / name).write_bytes(b"no image")
    found = open_data(tmp_path, network())
    assert len(found.calibration) == 10
    assert len(found.notes) == 1
    assert found.notes[0].startswith("Left out: 2 images that cannot be read. The image ")
    with pytest.raises(ChitaEdgeError, match="10 samples can be read of the 12"):
        open_data(tmp_path, network(), count=12)
    folder(tmp_path, 40)
    for file in tmp_path.rglob("*.png"):
        file.write_bytes(b"no image")
    with pytest.raises(ChitaEdgeError, match="11 images cannot be read, the last"):
        open_data(tmp_path, network())


def test_a_file_of_any_arrays(tmp_path: Path) -> None:
    path, rng = tmp_path / "data.npz", np.random.default_rng(0)
    ids, mask = rng.integers(0, 9, (20, 5)), np.ones((20, 5), np.float64)
    np.savez(path, **{"x.mask": mask, "x.ids": ids, "y": np.arange(20) % 3})
    found = open_data(path, Words(), count=15)
    assert isinstance(found.calibration.images, SeveralInputs)
    assert found.calibration.images.names == ("ids", "mask")
    assert [tensor.dtype for tensor in found.calibration.images.tensors] == [torch.int64, torch.float32]
    assert (len(found.calibration), len(found.judging), found.seen) == (15, 5, False)
    np.savez(path, x=rng.integers(0, 255, (6, 4, 4, 3), np.uint8), x_val=rng.random((2, 3, 4, 4)))
    found = open_data(path, network(), transform=TransformConfig(mean=(0.5,)))
    assert found.calibration.images.shape == (6, 3, 4, 4)  # type: ignore[union-attr]
    assert len(found.judging) == 2


def test_code_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(
        "import torch\n"
        "def samples():\n    return [(torch.ones(3, 4, 4) * i, i % 2) for i in range(9)]\n"
        "ready = samples()\n"
        "def broken():\n    raise OSError('disk')\n"
    )
    monkeypatch.chdir(tmp_path)
    for name in ("samples", "ready"):
        assert len(open_data(f"{tmp_path}/mine.py:{name}", network(), count=6).judging) == 3
    with pytest.raises(ChitaEdgeError, match=r"broken failed with OSError: disk \(.*mine.py, line 6\)"):
        open_data("mine.py:broken", network())


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"x": np.zeros((4, 3, 4, 4), np.uint8)}, r"x is uint8 of shape \(4, 3, 4, 4\).*table \[transform\]"),
        ({"x": np.zeros((4, 3, 4, 4), np.complex64)}, "x is complex64; inputs are numbers"),
        ({"x": np.full((4, 3, 4, 4), np.nan)}, "NaN or infinite values in sample 0 of x"),
        ({"x": np.zeros((0, 3, 4, 4))}, "x holds no samples"),
        ({"z": np.zeros((4, 3, 4, 4))}, "there are no samples in it"),
        ({"x": np.zeros((4, 3, 4, 4)), "y": np.zeros(3)}, "4 samples in x and 3 in y"),
        ({"x": np.zeros((4, 3, 4, 4)), "y": np.full(4, 2)}, "label of sample [0-3] is 2; this network's classes are 0"),
        ({"x.a": np.zeros((4, 3)), "x.b": np.zeros((4, 3))}, "has the inputs a, b in x; the network takes input"),
    ],
)
def test_arrays_that_do_not_fit_are_a_sentence(tmp_path: Path, arrays: dict[str, Any], reason: str) -> None:
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(ChitaEdgeError, match=reason):
        open_data(tmp_path / "data.npz", network())


def test_a_wrong_number_of_channels_names_the_data_that_hold_it(tmp_path: Path) -> None:
    for name, channels in (("good.npz", 3), ("bad.npz", 2)):
        np.savez(tmp_path / name, x=np.zeros((4, channels, 6, 6), np.float32))
    with pytest.raises(DataError, match=r"The data .*bad\.npz do not fit: The network Sequential fails on 1 samples"):
        open_data(tmp_path / "bad.npz", network())
    with pytest.raises(DataError, match=r"The data .*bad\.npz do not fit"):
        open_data(tmp_path / "good.npz", network(), validation=tmp_path / "bad.npz")


def test_labels_and_sizes_are_told_by_file(tmp_path: Path) -> None:
    folder(tmp_path, 6, ("a", "b", "c"))
    with pytest.raises(ChitaEdgeError, match=r"label of image .*/c/0[25].png is 2; this network's classes are 0 to 1"):
        open_data(tmp_path, network())
    Image.new("RGB", (9, 6)).save(folder(tmp_path / "other", 4) / "cat" / "wide.png")
    with pytest.raises(ChitaEdgeError, match=r"image .*/wide\.png"):
        open_data(tmp_path / "other", network())
    with pytest.raises(ChitaEdgeError, match="There are no data missing"):
        open_data("missing.npz", network())
    with pytest.raises(ChitaEdgeError, match=r"fails on 1 samples of shape \(3, 6, 6\)"):
        open_data(folder(tmp_path / "grey", 4), network(1))


CODE = """
from PIL import Image
from torch.utils.data import Dataset

class Pictures(Dataset):
    def __len__(self):
        return 6
    def __getitem__(self, index):
        return Image.new("RGB", (12, 6), (index, 2 * index, 255)), index % 2

def stream():
    return ({"image": Image.new("L", (6, 6), index)} for index in range(5))

def masks():
    return [(Image.new("RGB", (6, 6)), Image.new("L", (6, 6)))] * 4

def small():
    return [(Image.new("RGB", (3, 3)), 0)] * 4
"""


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pictures_of_mine.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "pictures_of_mine.py"


def test_images_of_a_data_set_go_through_the_transform(pictures: Path) -> None:
    transform = TransformConfig(resize=4, crop=(4, 6), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    found = open_data(f"{pictures}:Pictures", network(), count=6, transform=transform)
    images, labels = found.calibration.images, found.calibration.labels
    assert images.shape == (6, 3, 4, 6)  # type: ignore[union-attr]
    first = round(float((images[:, 0, 0, 0].amax() * 0.5 + 0.5) * 255))  # type: ignore[index]
    assert (first, float(images[:, 2].min())) == (5, 1.0)  # type: ignore[index]
    assert sorted(labels.tolist()) == [0, 0, 0, 1, 1, 1]
    flat = nn.Sequential(nn.Flatten(), nn.Linear(96, 2))
    last = open_data(f"{pictures}:Pictures", flat, transform=TransformConfig(resize=4, layout="channels_last"))
    assert last.calibration.images.shape[1:] == (4, 8, 3)  # type: ignore[union-attr]
    grey = open_data(f"{pictures}:stream", network(1), count=5, transform=TransformConfig(colour="grey"))
    assert grey.calibration.images.shape == (5, 1, 6, 6)  # type: ignore[union-attr]
    usual = open_data(f"{pictures}:Pictures", network(), usual=TransformConfig(resize=(2, 2)))
    assert usual.calibration.images.shape[2:] == (2, 2)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "transform", "sentence"),
    [
        (
            "Pictures",
            None,
            r"an image of 6×12 pixels, and nothing says how .* the table \[transform\] with resize or crop",
        ),
        ("masks", TransformConfig(), "has an image as its label"),
        ("small", TransformConfig(crop=4), r"item 0: An image of 3×3 cannot be cropped to 4×4"),
    ],
)
def test_images_that_nothing_converts_are_a_sentence(
    pictures: Path, name: str, transform: TransformConfig | None, sentence: str
) -> None:
    with pytest.raises(ChitaEdgeError, match=sentence):
        open_data(f"{pictures}:{name}", network(), transform=transform)


def test_a_transform_that_nothing_was_applied_to_is_told(tmp_path: Path) -> None:
    (tmp_path / "tensors_of_mine.py").write_text("import torch\ndef tensors():\n    return torch.randn(6, 3, 4, 4)\n")
    found = open_data(f"{tmp_path}/tensors_of_mine.py:tensors", network(), transform=TransformConfig(resize=4))
    assert found.notes == ("The table [transform] was not applied: the data set gives tensors, not images.",)
