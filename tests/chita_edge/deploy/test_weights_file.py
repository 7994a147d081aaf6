"""`chita-edge prune` through its function, on ResNet-20 with few images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from chita_edge import PruneConfig, UsageError
from chita_edge.datasets import DataError
from chita_edge.deploy.weights_file import prune_to_file
from chita_edge.models import WeightsError, get_model

CONFIG = PruneConfig(sparsity=0.75, method="chita", recalibration_views=0)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    torch.save(get_model("resnet20_cifar").architecture().state_dict(), tmp_path / "dense.pt")
    return tmp_path / "dense.pt"


def data(folder: Path, *drop: str) -> Path:
    rng = np.random.default_rng(0)
    arrays = {
        "x_calib": rng.integers(0, 256, (8, 32, 32, 3), np.uint8),
        "y_calib": rng.integers(0, 10, 8),
        "x_val": rng.integers(0, 256, (6, 32, 32, 3), np.uint8),
        "y_val": rng.integers(0, 10, 6),
    }
    np.savez(folder / "data.npz", **{name: array for name, array in arrays.items() if name not in drop})
    return folder / "data.npz"


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_the_file_has_the_networks_keys_and_the_zeros(tmp_path: Path, weights: Path, suffix: str) -> None:
    out = tmp_path / f"sparse.{suffix}"
    result = prune_to_file("resnet20_cifar", out, CONFIG, weights=weights, data=data(tmp_path))
    dense = torch.load(weights, weights_only=True)
    sparse = torch.load(out, weights_only=True) if suffix == "pt" else safetensors.torch.load_file(out)
    assert list(sparse) == list(dense) if suffix == "pt" else set(sparse) == set(dense)
    prunable = [name for name in dense if dense[name].ndim > 1 and "downsample" not in name]
    assert sum(dense[name].numel() for name in prunable) == 268_336
    assert sum(int((sparse[name] != 0).sum()) for name in prunable) == pytest.approx(0.25 * 268_336, abs=1)
    for name in set(dense) - set(prunable):
        assert torch.equal(sparse[name], dense[name])
    assert result.accuracy is not None
    told = result.to_json()
    assert told["sparsity"] == pytest.approx(0.75, abs=1e-4)
    assert told["objective"] > 0
    assert {"gradients", "solve"} <= told["seconds"].keys()
    assert set(told["accuracy"]) == {"dense", "pruned"}
    assert told["calibration_images"] == 8


def test_a_seed_decides_the_bytes(tmp_path: Path, weights: Path) -> None:
    files = [tmp_path / name for name in ("one.pt", "two.pt")]
    images = data(tmp_path)
    for out in files:
        prune_to_file("resnet20_cifar", out, CONFIG, weights=weights, data=images, calibration_images=4)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_without_validation_images_accuracy_is_not_told(tmp_path: Path, weights: Path) -> None:
    images = data(tmp_path, "x_val", "y_val")
    result = prune_to_file("resnet20_cifar", tmp_path / "sparse.pt", CONFIG, weights=weights, data=images)
    assert result.accuracy is None
    assert result.to_json()["accuracy"] is None


def test_labels_are_asked_for_where_they_are_needed(tmp_path: Path, weights: Path) -> None:
    images = data(tmp_path, "y_calib")
    out = tmp_path / "sparse.pt"
    by_the_loss = CONFIG.model_copy(update={"curvature": "loss"})
    with pytest.raises(UsageError, match="Gradients of the loss need labels: add y_calib"):
        prune_to_file("resnet20_cifar", out, by_the_loss, weights=weights, data=images)
    assert not out.exists()
    assert prune_to_file("resnet20_cifar", out, CONFIG, weights=weights, data=images).figures.sparsity > 0.7


def test_nothing_is_written_when_anything_is_wrong(tmp_path: Path, weights: Path) -> None:
    out, images = tmp_path / "sparse.pt", data(tmp_path)
    broken = tmp_path / "broken.pt"
    broken.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(WeightsError):
        prune_to_file("resnet20_cifar", out, CONFIG, weights=broken, data=images)
    with pytest.raises(DataError):
        prune_to_file("resnet20_cifar", out, CONFIG, weights=weights, data=broken)
    with pytest.raises(UsageError, match="needs --weights FILE"):
        prune_to_file("resnet20_cifar", out, CONFIG, data=images)
    with pytest.raises(UsageError, match=r"needs --data SOURCE"):
        prune_to_file("resnet20_cifar", out, CONFIG, weights=weights)
    with pytest.raises(UsageError, match="8 calibration images, 9 cannot be drawn"):
        prune_to_file("resnet20_cifar", out, CONFIG, weights=weights, data=images, calibration_images=9)
    out.write_bytes(b"precious")
    with pytest.raises(UsageError, match="--force"):
        prune_to_file("resnet20_cifar", out, CONFIG, weights=weights, data=images)
    assert out.read_bytes() == b"precious"
    assert {path.name for path in tmp_path.iterdir()} == {"dense.pt", "broken.pt", "data.npz", "sparse.pt"}
