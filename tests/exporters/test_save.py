"""A file appears whole or not at all."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import onnx
import pytest
from google.protobuf.message import EncodeError

from exporters import SaveError, save, to_bytes


def test_bytes_arrive(tiny: onnx.ModelProto, tmp_path: Path) -> None:
    save(tiny, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == to_bytes(tiny)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert (tmp_path / "model.onnx").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_nothing_is_left_after_a_failure(
    tiny: onnx.ModelProto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    (tmp_path / "model.onnx").write_bytes(b"old")

    def fail(handle: int) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises((SaveError, KeyboardInterrupt)) as caught:
        save(tiny, tmp_path / "model.onnx")
    assert isinstance(caught.value, KeyboardInterrupt) or "No space left" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert (tmp_path / "model.onnx").read_bytes() == b"old"


@pytest.mark.parametrize("error", [EncodeError, ValueError])
def test_a_model_of_more_than_two_gigabytes_is_refused(
    tiny: onnx.ModelProto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    # What protobuf raises for one, without making one.
    def refuse(model: onnx.ModelProto) -> bytes:
        raise error("Failed to serialize proto")

    monkeypatch.setattr(sys.modules["exporters.save"], "to_bytes", refuse)
    with pytest.raises(SaveError, match="2 GB"):
        save(tiny, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_is_named(tiny: onnx.ModelProto, tmp_path: Path) -> None:
    with pytest.raises(SaveError, match="nowhere"):
        save(tiny, tmp_path / "nowhere" / "model.onnx")
