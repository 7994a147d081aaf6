"""A file appears whole or not at all."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import onnx
import pytest
from google.protobuf.message import EncodeError

from exporters import SaveError, save, to_bytes


def test_bytes_arrive(tiny: onnx.ModelProto, tmp_path: Path) -> None:
    save(tiny, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == to_bytes(tiny)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    (tmp_path / "plain").touch()
    assert (tmp_path / "model.onnx").stat().st_mode == (tmp_path / "plain").stat().st_mode


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


KILLED = """
import os, signal, sys
from pathlib import Path
os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
from exporters.save import _write
_write(Path(sys.argv[1]), bytes(100_000))
"""


def test_what_a_killed_process_left_is_gone_after_the_next_save(tiny: onnx.ModelProto, tmp_path: Path) -> None:
    target = tmp_path / "model.onnx"
    save(tiny, target)
    done = subprocess.run([sys.executable, "-c", KILLED, str(target)], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    assert target.read_bytes() == to_bytes(tiny)
    assert len(list(tmp_path.iterdir())) == 2
    save(tiny, target)
    assert target.read_bytes() == to_bytes(tiny)
    assert list(tmp_path.iterdir()) == [target]


def test_many_writers_of_one_file_leave_one_whole_file(tiny: onnx.ModelProto, tmp_path: Path) -> None:
    target = tmp_path / "model.onnx"
    threads = [threading.Thread(target=save, args=(tiny, target)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert target.read_bytes() == to_bytes(tiny)
    assert list(tmp_path.iterdir()) == [target]
