"""The models of a folder, by name."""

from pathlib import Path

import pytest

from device_bench.bundle_models import DENSE_FILE, INT8_FILE, SPARSE_FILE, models_in
from device_bench.errors import PlanError


def test_a_bundle_holds_two_or_three_models(tmp_path: Path) -> None:
    for name in (DENSE_FILE, SPARSE_FILE):
        (tmp_path / name).touch()
    assert list(models_in(tmp_path)) == ["dense", "sparse"]  # of a version that knew no int8
    (tmp_path / INT8_FILE).touch()
    models = models_in(tmp_path)
    assert {name: (model.path.name, model.sparse) for name, model in models.items()} == {
        "dense": (DENSE_FILE, False),
        "int8": (INT8_FILE, False),
        "sparse": (SPARSE_FILE, True),
    }
    assert list(models) == ["dense", "int8", "sparse"]


def test_a_file_is_one_model_and_another_folder_none(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="neither a bundle"):
        models_in(tmp_path)
    (tmp_path / "x.onnx").touch()
    assert list(models_in(tmp_path / "x.onnx")) == ["model"]
