"""Models of a bundle, or of one ONNX file, by the names under which they are measured."""

from __future__ import annotations

from pathlib import Path

from device_bench.errors import PlanError
from device_bench.plan import ModelUnderTest

# The names that a bundle's files have in its format.
SPARSE_FILE, DENSE_FILE, INT8_FILE = "model.onnx", "model.dense.onnx", "model.int8.onnx"
CONTROL = "dense"
INT8 = "int8"


def models_in(path: str | Path) -> dict[str, ModelUnderTest]:
    """``dense``, ``int8`` and ``sparse`` of a bundle folder, ``model`` of an ONNX file. PlanError if it is neither."""
    path = Path(path)
    if path.is_file():
        return {"model": ModelUnderTest(path, sparse=True)}
    if not (path / SPARSE_FILE).is_file():
        raise PlanError(f"{path} is neither a bundle (a folder that holds {SPARSE_FILE}) nor an ONNX file.")
    baselines = {CONTROL: path / DENSE_FILE, INT8: path / INT8_FILE}
    models = {name: ModelUnderTest(file, sparse=False) for name, file in baselines.items() if file.is_file()}
    return {**models, "sparse": ModelUnderTest(path / SPARSE_FILE, sparse=True)}
