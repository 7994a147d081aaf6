"""Lock of the writers of a folder; its holder removes what killed writers left beside the folder."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from chita_edge.storage.uninterrupted import uninterrupted

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_S = 300.0
_PAUSE_S = 0.02
_LONGEST_NAME = 200
_LOCK = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True)
class Siblings:
    """Hidden names beside a folder that is replaced as a whole, for its writers.

    Attributes:
        lock: a file that the one writer of the moment has locked.
        partial: a folder on its way in, or on its way out; whoever holds the lock and did not make it removes it.
        replaced: the folder that a new one is about to replace, where names cannot be exchanged; always whole.
    """

    lock: Path
    partial: Path
    replaced: Path

    @classmethod
    def of(cls, folder: Path) -> Siblings:
        """The names for `folder`; two folders in one place never share one."""
        name = folder.name
        if len(name.encode("utf-8", "surrogateescape")) > _LONGEST_NAME:
            digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
            name = f"{name[:40]}-{digest[:32]}"
        return cls(*(folder.with_name(f".{name}.{what}") for what in ("lock", "partial", "replaced")))


@contextmanager
def only_writer(folder: Path, make_parents: bool = False) -> Iterator[Siblings]:
    """Hold the lock of `folder`, an absolute path, while the block runs; wait for others before.

    Once the lock is held, what writers that were killed left is gone, and the folder that one of them had moved aside
    is back. The system drops a lock when its process ends, however it ends. With `make_parents` the folders above are
    made, and removed again when the block fails.

    Raises OSError for what the system refuses, TimeoutError among it when another writer does not end.
    """
    siblings = Siblings.of(folder)
    descriptor: int | None = None
    made: list[Path] = []
    done = False
    deadline = time.monotonic() + PATIENCE_S
    try:
        while descriptor is None:
            with uninterrupted():
                if make_parents:
                    made += _make_parents(folder.parent)
                descriptor = _try_lock(siblings.lock, missing_parent_is_an_error=not make_parents)
            if descriptor is None:
                if time.monotonic() > deadline:
                    raise TimeoutError(
                        errno.ETIMEDOUT, f"another process has held {siblings.lock} for {PATIENCE_S:.0f} s; wait for it"
                    )
                time.sleep(_PAUSE_S)
        with uninterrupted():
            _recover(folder, siblings)
        yield siblings
        done = True
    finally:
        with uninterrupted():
            if descriptor is not None:
                siblings.lock.unlink(missing_ok=True)
                os.close(descriptor)
            if not done:
                for parent in reversed(made):
                    with suppress(OSError):
                        parent.rmdir()


def remove(path: Path) -> None:
    """Remove what has this name, if anything has: a folder with all in it, a file or a link."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _try_lock(path: Path, missing_parent_is_an_error: bool) -> int | None:
    """The descriptor of the locked file, or None if it is another's, or was until this moment."""
    try:
        descriptor = os.open(path, _LOCK, 0o666)
    except FileNotFoundError:
        if missing_parent_is_an_error:
            raise
        return None  # another writer of the same new place has failed, and removed the folders that it had made
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The one who had it removes the file before it lets go: a lock on a file without a name excludes nobody.
        if os.path.samestat(os.fstat(descriptor), path.lstat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _recover(folder: Path, siblings: Siblings) -> None:
    if siblings.replaced.exists():
        if folder.exists():  # the new one was in its place already
            remove(siblings.partial)
            siblings.replaced.rename(siblings.partial)
        else:
            siblings.replaced.rename(folder)
    remove(siblings.partial)


def _make_parents(parent: Path) -> list[Path]:
    """Create ``parent`` and return the folders that had to be created, outermost first."""
    missing = [path for path in (parent, *parent.parents) if not path.exists()]
    with suppress(FileNotFoundError):  # somebody removes them again: the caller makes them anew
        parent.mkdir(parents=True, exist_ok=True)
    return missing[::-1]
