"""A run's network and images come from the files that are named, or from the embedded ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_network
from PIL import Image

from chita_edge.config import BenchConfig, BuildConfig, ExportConfig
from chita_edge.deploy.load import load_inputs
from chita_edge.engine.config import PruneConfig
from chita_edge.models import get_model
from chita_edge.pipeline import build


@pytest.fixture
def images(tmp_path: Path) -> Path:
    x = np.random.default_rng(0).integers(0, 256, (7, 96, 96, 1), np.uint8)
    np.savez(tmp_path / "data.npz", x=x)
    return tmp_path / "data.npz"


def test_the_embedded_ones_where_none_are_named() -> None:
    inputs = load_inputs(get_model("mobilenet"), weights=None, data=None, calibration_images=5, seed=0)
    assert (len(inputs.images), len(inputs.calibration)) == (5, 5)
    assert inputs.labels is not None
    assert inputs.validation is not None
    assert not inputs.model.training


def test_images_may_come_without_labels(images: Path) -> None:
    inputs = load_inputs(get_model("mobilenet"), weights=None, data=images, calibration_images=None, seed=0)
    assert inputs.labels is None
    assert inputs.validation is None
    assert inputs.calibration.labels is None


def test_a_folder_of_images_is_scaled_to_the_networks_size(tmp_path: Path) -> None:
    for number in range(6):
        file = tmp_path / f"{number % 2}" / f"{number}.png"
        file.parent.mkdir(exist_ok=True)
        Image.new("RGB", (30, 20), (40 * number, 0, 0)).save(file)
    inputs = load_inputs(get_model("mobilenet"), weights=None, data=tmp_path, calibration_images=4, seed=0)
    assert inputs.images.shape == (4, 1, 96, 96)  # type: ignore[union-attr]
    assert inputs.validation is not None
    assert len(inputs.validation) == 2
    assert float(inputs.images.min()) == pytest.approx(-0.2860 / 0.3530)  # type: ignore[union-attr]


def test_a_bundle_of_images_without_labels_says_how_close_it_is(tmp_path: Path) -> None:
    tiny_network.register()
    weights, data = tiny_network.write_inputs(tmp_path)
    with np.load(data) as arrays:
        np.savez(tmp_path / "images.npz", x=arrays["x_calib"])
    config = BuildConfig(
        model=tiny_network.NAME,
        prune=PruneConfig(sparsity=0.5, distance="classes"),
        export=ExportConfig(target="x86_64"),
        bench=BenchConfig(samples=50),
    )
    result = build(config, tmp_path / "bundle", weights=weights, data=tmp_path / "images.npz")
    assert result.metric.name == "agreement"
    assert result.accuracy.dense == 1.0
    assert 0.3 < result.accuracy.sparse <= 1.0
    told = result.to_json()
    assert "accuracy" not in told
    assert told["metric"]["on"] == "64 calibration samples, which it was fitted on"
    assert "agreement" in (tmp_path / "bundle" / "report.html").read_text()
