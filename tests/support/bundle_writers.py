"""Processes that write a bundle and are killed at each of their steps, or write it at the same time.

A program of its own, since it forks: `bundle_writers.py kills ACTION RENAMES FOLDER` or `… crowd RENAMES FOLDER`.
ACTION is fresh, replace or add; RENAMES is exchange, or aside for a disk that cannot exchange names.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from chita_edge.bundle import add_measurements, staging, verify_bundle, write_bundle

OLD = {"model.onnx": b"old" * 1000, "lib/a.so": b"old library"}
NEW = {"model.onnx": b"new" * 1000, "lib/b.so": b"new library"}
FIRST = {"bench/local.json": b"{}", "report.html": b"one run"}
SECOND = {"bench/phone.json": b"{}", "report.html": b"two runs"}
CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "fcntl.flock", "exchange"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def tree(folder: Path) -> dict[str, bytes]:
    """Contents of the files below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def put(folder: Path, files: dict[str, bytes]) -> None:
    """Write files below a folder."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Do the work in a child that is killed before its ``step``-th call that changes the disk; whether it was."""
    child = os.fork()
    if not child:
        calls, exchange = 0, staging.exchange

        def die(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal calls
            if event in CHANGES or (event == "open" and arguments[2] & WRITING):  # type: ignore[operator]
                calls += 1
                if calls == step:
                    os.kill(os.getpid(), signal.SIGKILL)

        def counted(a: Path, b: Path) -> bool:
            die("exchange", ())
            return exchange(a, b)

        sys.addaudithook(die)
        staging.exchange = counted
        work()
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def kills(action: str, folder: Path) -> int:
    """Kill a writer at each of its steps; the bundle is the old or the new one, and the next writer tidies up."""
    works: dict[str, Callable[[], object]] = {
        "fresh": lambda: write_bundle(folder, NEW, {}, measurements=FIRST),
        "replace": lambda: write_bundle(folder, NEW, {}, measurements=FIRST, force=True),
        "add": lambda: add_measurements(folder, SECOND),
    }
    write_bundle(folder, OLD, {}, measurements=FIRST)
    old = tree(folder)
    works["replace" if action == "fresh" else action]()
    new = tree(folder)
    step, survived = 0, False
    while not survived:
        step += 1
        shutil.rmtree(folder)
        if action != "fresh":
            put(folder, old)
        survived = not killed_at(step, works[action])
        if action == "fresh" and not folder.exists():
            write_bundle(folder, NEW, {}, measurements=FIRST)
        verify_bundle(folder)
        assert tree(folder) in ((new,) if action == "fresh" else (old, new))
        add_measurements(folder, {"bench/next.json": b"{}"})
        verify_bundle(folder)
        assert (folder / "bench/next.json").exists()
        assert list(folder.parent.iterdir()) == [folder], list(folder.parent.iterdir())
    return step


def crowd(folder: Path) -> int:
    """Six writers at once, one of them killed and started again and again, and a reader throughout."""
    write_bundle(folder, OLD, {}, measurements=FIRST)
    writers = [os.fork() or add_some(folder, number) for number in range(6)]
    reads, steps, left = 0, random.Random(0), set(writers)
    while left:
        killed_at(steps.randrange(5, 40), lambda: add_measurements(folder, {"bench/killed.json": b"{}"}))
        for _ in range(10):
            verify_bundle(folder)
            reads += 1
        for writer in list(left):
            child, status = os.waitpid(writer, os.WNOHANG)
            if child:
                assert status == 0
                left.remove(writer)
    add_measurements(folder, {"report.html": b"the last"})
    verify_bundle(folder)
    for number in range(6):
        for run in range(3):
            assert (folder / f"bench/{number}-{run}.json").read_bytes() == b"%d" % run
    assert list(folder.parent.iterdir()) == [folder], list(folder.parent.iterdir())
    return reads


def add_some(folder: Path, number: int) -> int:
    """One writer: three measurements, one after another."""
    code = 1
    try:
        for run in range(3):
            add_measurements(folder, {f"bench/{number}-{run}.json": b"%d" % run})
        code = 0
    finally:
        os._exit(code)


if __name__ == "__main__":
    *what, renames, place = sys.argv[1:]
    os.fsync = lambda descriptor: None  # a kill leaves what the system was told, on disk or not
    if renames == "aside":
        staging.exchange = lambda a, b: False
    print(kills(what[1], Path(place)) if what[0] == "kills" else crowd(Path(place)))
