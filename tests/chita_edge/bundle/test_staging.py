"""A build that is interrupted or refused at any of its steps leaves the disk as it found it, or finished."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from chita_edge.bundle import BundleWriteError, staging, verify_bundle, write_bundle

from .conftest import FILES, MEASURED, tree

# Sends itself Ctrl-C at the given call of the given function.
INTERRUPTED = """
import os, signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit it ignored
name, at, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
from chita_edge.bundle import staging, write_bundle
import tempfile, shutil, hashlib
home = staging if name == "exchange" else os
real, calls = getattr(home, name), 0
def counted(*args, **kwargs):
    global calls
    calls += 1
    if calls == at:
        os.kill(os.getpid(), signal.SIGINT)
    return real(*args, **kwargs)
setattr(home, name, counted)
try:
    files = {"model.onnx": b"new" * 1000, "lib/a.so": b"lib"}
    write_bundle(folder, files, {}, measurements={"bench/l.json": b"{}"}, force=True)
except KeyboardInterrupt:
    print("interrupted", calls)
else:
    print("finished", calls)
"""


def _run(code: str, *args: str) -> str:
    root = Path(__file__).parents[3]
    result = subprocess.run(
        [sys.executable, "-c", code, *args],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize(
    ("step", "exists"),
    [(step, exists) for exists in (False, True) for step in ("open", "fsync", "mkdir")]
    + [("rename", False), ("exchange", True)],
)
def test_ctrl_c_at_every_step_leaves_old_or_new(tmp_path: Path, step: str, exists: bool) -> None:
    folder = tmp_path / "sub" / "bundle"
    interrupted = 0
    for at in (1, 2, 3, 5):
        if exists:
            write_bundle(folder, FILES, {}, measurements=MEASURED, force=True)
        old = tree(folder)
        outcome = _run(INTERRUPTED, step, str(at), str(folder)).split()[0]
        interrupted += outcome == "interrupted"
        if folder.exists():
            verify_bundle(folder)
            now = tree(folder)
            assert now == old or now["model.onnx"].startswith(b"new")
            assert [path.name for path in folder.parent.iterdir()] == ["bundle"]
        else:
            assert not exists
            assert list(tmp_path.iterdir()) == []
    assert interrupted


def test_a_failed_exchange_leaves_the_old_bundle(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(a: Path, b: Path) -> bool:
        raise OSError(errno.EIO, "Input/output error")

    before = tree(bundle)
    monkeypatch.setattr(staging, "exchange", broken)
    with pytest.raises(BundleWriteError, match="Input/output error"):
        write_bundle(bundle, {"model.onnx": b"new"}, {}, force=True)
    assert tree(bundle) == before
    assert list(bundle.parent.iterdir()) == [bundle]


@pytest.mark.parametrize("failing", [1, 2, 3, 4])
def test_a_failed_rename_restores_the_old_bundle(bundle: Path, monkeypatch: pytest.MonkeyPatch, failing: int) -> None:
    """On a disk that cannot exchange names."""
    before, calls, rename = tree(bundle), 0, os.rename

    def broken(source: str, target: str) -> None:
        nonlocal calls
        calls += 1
        if calls == failing:
            raise OSError(errno.EIO, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(staging, "exchange", lambda a, b: False)
    monkeypatch.setattr(os, "rename", broken)
    if failing <= 2:
        with pytest.raises(BundleWriteError, match="Input/output error"):
            write_bundle(bundle, {"model.onnx": b"new"}, {}, force=True)
        assert tree(bundle) == before
    else:
        write_bundle(bundle, {"model.onnx": b"new"}, {}, force=True)
        verify_bundle(bundle)
        assert (bundle / "model.onnx").read_bytes() == b"new"
    monkeypatch.undo()
    write_bundle(bundle, {"model.onnx": b"next"}, {}, force=True)
    assert list(bundle.parent.iterdir()) == [bundle]


def test_a_file_limit_stops_the_write_and_leaves_nothing(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(BundleWriteError, match="nothing was left behind"):
            write_bundle(tmp_path / "new" / "b", {"a.md": b"a", "model.onnx": bytes(1_000_000)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


FULL_DISK = """
import subprocess, sys
from pathlib import Path
disk = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], check=True)
from chita_edge.bundle import BundleWriteError, verify_bundle, write_bundle
folder = write_bundle(disk / "bundle", {"model.onnx": b"old"}, {})
try:
    write_bundle(folder, {"a": bytes(300_000), "model.onnx": bytes(5_000_000)}, {}, force=True)
except BundleWriteError as error:
    verify_bundle(folder)
    assert (folder / "model.onnx").read_bytes() == b"old"
    assert list(disk.iterdir()) == [folder]
    print(error)
"""


def test_a_full_disk_leaves_the_old_bundle(tmp_path: Path) -> None:
    """A real disk of 1 MiB, in a mount namespace of its own."""
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine allows no private mount namespace (unshare -rm); as root, it would")
    root = Path(__file__).parents[3]
    result = subprocess.run(
        ["unshare", "-rm", sys.executable, "-c", FULL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "No space left on device" in result.stdout


def test_ctrl_c_handler_is_put_back(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    write_bundle(tmp_path / "b", FILES, {})
    assert signal.getsignal(signal.SIGINT) is before
