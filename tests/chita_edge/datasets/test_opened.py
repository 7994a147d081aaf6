from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from chita_edge import ChitaEdgeError
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
