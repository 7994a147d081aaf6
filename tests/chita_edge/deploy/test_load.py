"""A run's network and images come from the files that are named, or from the embedded ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from chita_edge import UsageError
from chita_edge.config import BuildConfig, ExportConfig
from chita_edge.deploy.load import load_inputs
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


def test_a_bundle_needs_labels_and_images_to_judge_by(tmp_path: Path, images: Path) -> None:
    config = BuildConfig(model="mobilenet", export=ExportConfig(target="x86_64"), calibration_images=5)
    with pytest.raises(UsageError, match=r"data\.npz needs y_calib, x_val and y_val"):
        build(config, tmp_path / "bundle", data=images)
    assert list(tmp_path.iterdir()) == [images]
