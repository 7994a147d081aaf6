"""Writers of one bundle are killed at every step, or are many: nothing is lost, and nothing is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from chita_edge.bundle import BundleWriteError, add_measurements, verify_bundle, write_bundle
from chita_edge.storage import folder_lock
from chita_edge.storage.folder_lock import Siblings, only_writer

from .conftest import FILES, MEASURED, tree

ROOT = Path(__file__).parents[3]


def in_processes(*arguments: str, folder: Path) -> int:
    """Run the program with the writers; the number that it prints."""
    program = ROOT / "tests" / "support" / "bundle_writers.py"
    done = subprocess.run(
        [sys.executable, str(program), *arguments, str(folder / "bundle")],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.parametrize(
    ("action", "renames"),
    [("fresh", "exchange"), ("replace", "exchange"), ("replace", "aside"), ("add", "exchange")],
)
def test_kill_at_every_step(tmp_path: Path, action: str, renames: str) -> None:
    assert in_processes("kills", action, renames, folder=tmp_path) > 20


@pytest.mark.parametrize("renames", ["exchange", "aside"])
def test_six_writers_at_once_and_a_reader_throughout(tmp_path: Path, renames: str) -> None:
    assert in_processes("crowd", renames, folder=tmp_path) >= 10


def test_threads_of_one_process_lose_nothing(bundle: Path) -> None:
    names = [f"bench/{number}.json" for number in range(4)]
    threads = [threading.Thread(target=add_measurements, args=(bundle, {name: b"{}"})) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    verify_bundle(bundle)
    assert set(names) <= set(tree(bundle))
    assert list(bundle.parent.iterdir()) == [bundle]


def test_a_writer_that_does_not_end_is_told(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_lock, "PATIENCE_S", 0.0)
    before = tree(bundle)
    with only_writer(bundle) as siblings:
        verify_bundle(bundle)  # readers do not wait
        with pytest.raises(BundleWriteError, match=rf"another process has held {siblings.lock}"):
            add_measurements(bundle, {"bench/a.json": b"{}"})
    assert tree(bundle) == before
    assert list(bundle.parent.iterdir()) == [bundle]


def test_bundles_side_by_side_have_siblings_of_their_own(tmp_path: Path) -> None:
    names = ["a", "a.partial", "a.b", "x" * 255, "x" * 254 + "y", "é" * 120, "b"]
    seen = [name for one in names for name in vars(Siblings.of(tmp_path / one)).values()]
    assert len(set(seen)) == 3 * len(names)
    assert all(len(name.name.encode()) <= 255 for name in seen)
    for name in names[:3]:
        write_bundle(tmp_path / name, FILES, {}, measurements=MEASURED)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names[:3])


def test_what_stands_in_the_place_of_the_lock_is_a_sentence(tmp_path: Path) -> None:
    Siblings.of(tmp_path / "bundle").lock.mkdir()
    with pytest.raises(BundleWriteError, match="could not be written"):
        write_bundle(tmp_path / "bundle", FILES, {})


def test_a_reader_brings_back_a_bundle_that_a_killed_writer_had_moved_aside(bundle: Path) -> None:
    before = tree(bundle)
    bundle.rename(Siblings.of(bundle).replaced)
    verify_bundle(bundle)
    assert tree(bundle) == before
    assert list(bundle.parent.iterdir()) == [bundle]
