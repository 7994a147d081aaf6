import errno
import os
from pathlib import Path

import pytest

from chita_edge.atomic_file import FileWriteError, check_free, write_file
from chita_edge.errors import UsageError


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
