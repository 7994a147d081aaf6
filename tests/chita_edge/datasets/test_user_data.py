from pathlib import Path

import numpy as np
import pytest
import torch

from chita_edge.datasets import DataError, UserData, load_user_data
from chita_edge.errors import UsageError

SHAPE = (3, 4, 5)


def _load(path: Path, **arrays: np.ndarray) -> UserData:
    np.savez(path / "data.npz", **arrays)
    return load_user_data(path / "data.npz", SHAPE, 7, lambda images: images.float() / 255)


def _images(n: int = 6) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 4, 5, 3), np.uint8)


def _labels(n: int = 6) -> np.ndarray:
    return np.arange(n, dtype=np.uint8) % 7


def test_bytes_are_normalised_and_put_in_the_networks_order(tmp_path: Path) -> None:
    data = _load(tmp_path, x_calib=_images(), y_calib=_labels(), x_val=_images(3), y_val=_labels(3))
    assert data.images.shape == (6, *SHAPE)
    assert data.images[2, 1, 3, 4].item() == pytest.approx(_images()[2, 3, 4, 1] / 255)
    assert data.labels is not None
    assert data.labels.tolist() == [0, 1, 2, 3, 4, 5]
    assert data.validation is not None
    assert (len(data.validation), data.validation.labels.dtype) == (3, torch.int64)


@pytest.mark.parametrize("dtype", ["<f4", ">f4"])
def test_floats_are_taken_as_they_are(tmp_path: Path, dtype: str) -> None:
    x = np.random.default_rng(0).normal(size=(2, *SHAPE)).astype(np.float32)
    data = _load(tmp_path, x=x.astype(dtype))
    assert torch.equal(data.images, torch.from_numpy(x))
    assert data.labels is None
    assert data.validation is None


def test_a_seed_draws_images_with_their_labels(tmp_path: Path) -> None:
    data = _load(tmp_path, x=_images(), y=_labels())
    images, labels = data.draw(4, seed=1)
    assert labels is not None
    assert labels.unique().numel() == 4
    assert torch.equal(images, data.images[labels])
    assert len(data.draw(None, seed=0)[0]) == 6
    assert data.draw(2, seed=1)[1].tolist() == labels[:2].tolist()  # type: ignore[union-attr]
    with pytest.raises(UsageError, match="has 6 calibration images, 7 cannot"):
        data.draw(7, seed=0)


_FLOATS = np.zeros((6, *SHAPE), np.float32)


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({}, "no array x_calib and none called x"),
        ({"x": _images(), "x_calib": _images()}, "both x and x_calib"),
        ({"x": _images(), "x_val": _images()}, "x_val without y_val"),
        ({"x": _images(), "y_val": _labels()}, "y_val without x_val"),
        ({"x": _images().transpose(0, 3, 1, 2)}, r"x is uint8 of shape \(6, 3, 4, 5\); uint8 images .* \(n, 4, 5, 3\)"),
        ({"x": _FLOATS.transpose(0, 2, 3, 1)}, r"float32 of shape \(6, 4, 5, 3\); float32 inputs .* \(n, 3, 4, 5\)"),
        ({"x": _FLOATS.astype(np.float64)}, "x is float64"),
        ({"x": _images()[0]}, r"of shape \(4, 5, 3\)"),
        ({"x": _images(0)}, "at least one image"),
        ({"x": np.uint8(3)}, "x is uint8 of shape"),
        ({"x": _images(), "y": _labels(5)}, r"y is uint8 of shape \(5,\)"),
        ({"x": _images(), "y": _labels()[:, None]}, r"of shape \(6, 1\)"),
        ({"x": _images(), "y": _labels().astype(np.float32)}, "y is float32"),
        ({"x": _images(), "y": _labels() + np.uint8(2)}, "labels image 5 of x with 7; .* 0 to 6"),
        ({"x": _images(), "y": _labels().astype(np.int8) - np.int8(1)}, "labels image 0 of x with -1"),
        ({"x": _FLOATS + np.float32("nan")}, "NaN or infinite values in image 0 of x"),
        ({"x": _images(), "x_val": _images(), "y_val": _labels(3)}, "y_val is uint8"),
    ],
)
def test_arrays_that_do_not_fit_are_a_sentence(tmp_path: Path, arrays: dict[str, np.ndarray], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        _load(tmp_path, **arrays)


def test_series_are_float32_alone(tmp_path: Path) -> None:
    np.savez(tmp_path / "bytes.npz", x=np.zeros((3, 20, 6), np.uint8))
    np.savez(tmp_path / "floats.npz", x=np.zeros((3, 6, 20), np.float32))
    with pytest.raises(DataError, match=r"x is uint8 of shape \(3, 20, 6\); inputs .* are float32 \(n, 6, 20\)"):
        load_user_data(tmp_path / "bytes.npz", (6, 20), 7, None)
    assert load_user_data(tmp_path / "floats.npz", (6, 20), 7, None).images.shape == (3, 6, 20)
