import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from chita_edge.errors import UsageError
from chita_edge.storage.atomic_file import FileWriteError, check_free, whole_file, write_file


def test_writes_and_replaces_only_when_forced(tmp_path: Path) -> None:
    path = tmp_path / "out.pt"
    write_file(path, b"one")
    with pytest.raises(UsageError, match="--force"):
        write_file(path, b"two")
    assert path.read_bytes() == b"one"
    write_file(path, b"two", force=True)
    assert path.read_bytes() == b"two"
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_full_disk_or_an_interruption_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    path = tmp_path / "out.pt"
    path.write_bytes(b"before")

    def fail(descriptor: int) -> None:
        raise failure

    with monkeypatch.context() as patch, pytest.raises((FileWriteError, KeyboardInterrupt)):
        patch.setattr(os, "fsync", fail)
        write_file(path, b"after", force=True)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_places_that_cannot_be_written_are_told_beforehand(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for path, sentence in ((tmp_path, "is a folder"), (tmp_path / "link", "link"), (tmp_path / "a" / "b", "not exist")):
        with pytest.raises(UsageError, match=sentence):
            check_free(path, force=True)
    check_free(tmp_path / "new", force=False)
    assert [path.name for path in tmp_path.iterdir()] == ["link"]
    with pytest.raises(FileWriteError, match="could not be written"):
        check_free(Path("/proc/new"), force=False)  # a folder in which nobody can make a file


def test_a_file_that_appeared_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "out.pt"
    with pytest.raises(FileExistsError), whole_file(path, replace=False) as file:
        file.write(b"late")
        path.write_bytes(b"early")
    assert path.read_bytes() == b"early"
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_without_second_names_or_locks_does_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(fcntl, "flock", refuse)
    path = tmp_path / "out.pt"
    write_file(path, b"one")
    with pytest.raises(UsageError, match="exists"):
        write_file(path, b"two")
    with pytest.raises(FileExistsError), whole_file(tmp_path / "new", replace=False):
        (tmp_path / "new").write_bytes(b"early")
    assert path.read_bytes() == b"one"


KILLED_AT_EVERY_STEP = """
import os, signal, sys
from pathlib import Path
from chita_edge.storage.atomic_file import write_file
path, force = Path(sys.argv[1]), sys.argv[2] == "replacing"
steps = 0
while True:
    path.unlink(missing_ok=True)
    if force:
        path.write_bytes(b"old")
    steps += 1
    child = os.fork()
    if not child:
        calls = 0
        def die(event, arguments):  # an audit event comes before each call that changes a folder
            global calls
            calls += 1
            if calls == steps:
                os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(die)
        write_file(path, b"new", force)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    found = path.read_bytes() if path.exists() else None
    assert found in ((b"old", b"new") if force else (None, b"new")), found
    if os.WIFEXITED(status):
        assert os.WEXITSTATUS(status) == 0 and found == b"new"
        break
    write_file(path, b"next", force=True)
    assert path.read_bytes() == b"next"
    assert list(path.parent.iterdir()) == [path], list(path.parent.iterdir())
print(steps)
"""


@pytest.mark.parametrize("how", ["fresh", "replacing"])
def test_kill_at_every_step_leaves_nothing_once_the_next_has_written(tmp_path: Path, how: str) -> None:
    command = [sys.executable, "-c", KILLED_AT_EVERY_STEP, str(tmp_path / "out.pt"), how]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 5


def test_the_partial_file_of_a_living_writer_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "out.pt"
    with whole_file(path) as slow:
        slow.write(b"slow")
        write_file(path, b"quick")
        assert path.read_bytes() == b"quick"
    assert path.read_bytes() == b"slow"
    assert list(tmp_path.iterdir()) == [path]
