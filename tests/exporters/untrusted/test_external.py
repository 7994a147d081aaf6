"""External data is read from beside the model and from nowhere else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto

from exporters import (
    ExternalDataError,
    TooLargeError,
    load,
)


def external(model: onnx.ModelProto, name: str, location: str, **entries: str) -> bytes:
    """Move a tensor out of the model; what its file must hold."""
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    data = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    return data


def test_external_data_beside_the_model_is_read_into_it(tiny: onnx.ModelProto, tmp_path: Path) -> None:
    whole = onnx.ModelProto.FromString(tiny.SerializeToString())
    data = external(tiny, "pw.weight", "data/weights.bin", offset="16")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "weights.bin").write_bytes(bytes(16) + data)
    (tmp_path / "model.onnx").write_bytes(tiny.SerializeToString())
    assert load(tmp_path / "model.onnx") == whole


@pytest.mark.parametrize(
    "location", ["/etc/hostname", "../secret", "data/../../secret", "link", "linked/secret", "", ".", "missing", "pipe"]
)
def test_external_data_elsewhere_is_refused(
    refuse: Callable, tiny: onnx.ModelProto, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, location: str
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    data = external(tiny, "pw.weight", location)
    (outside / "secret").write_bytes(data)
    (tmp_path.parent / "secret").write_bytes(data)
    (tmp_path / "link").symlink_to(outside / "secret")
    (tmp_path / "linked").symlink_to(outside)
    os.mkfifo(tmp_path / "pipe")
    assert "'pw.weight' refers to" in refuse(tiny, ExternalDataError)


def test_a_hard_link_is_refused(refuse: Callable, tiny: onnx.ModelProto, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(external(tiny, "pw.weight", "weights"))
    os.link(tmp_path / "secret", tmp_path / "weights")
    assert "hard link" in refuse(tiny, ExternalDataError)


@pytest.mark.parametrize(
    "entries", [{"offset": "8"}, {"length": "4"}, {"offset": "-1"}, {"offset": "x"}, {"length": "9" * 30}]
)
def test_external_data_of_another_size_is_refused(
    refuse: Callable, tiny: onnx.ModelProto, tmp_path: Path, entries: dict[str, str]
) -> None:
    (tmp_path / "weights").write_bytes(external(tiny, "pw.weight", "weights", **entries))
    refuse(tiny, ExternalDataError)


def test_external_data_in_all_is_bounded(refuse: Callable, tiny: onnx.ModelProto) -> None:
    external(tiny, "pw.weight", "weights")
    next(tensor for tensor in tiny.graph.initializer if tensor.name == "pw.weight").dims[0] = 2**40
    assert "more external data" in refuse(tiny, TooLargeError)
