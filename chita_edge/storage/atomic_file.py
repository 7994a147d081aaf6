"""Atomic writing of one file: it appears under its name complete, or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from chita_edge.errors import ChitaEdgeError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOUND = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # O_NONBLOCK: a FIFO of that name must not hang


class FileWriteError(ChitaEdgeError):
    """A result could not be written."""


def check_free(path: Path, force: bool) -> None:
    """Raise UsageError when `path` may not be written; called before long work, so that the error comes early.

    Raises FileWriteError when no file can be made in its folder.
    """
    _check_place(path, force)
    try:
        descriptor, partial = _new_partial(path.absolute())
        os.close(descriptor)
        partial.unlink()
    except OSError as error:
        raise _refused(path, error) from error


def write_file(path: Path, content: bytes, force: bool = False) -> None:
    """Write `content` to `path`; after an interruption or a full disk the previous file is intact and no other file is
    left.

    Raises FileWriteError for what the operating system refuses, UsageError as `check_free`.
    """
    _check_place(path, force)
    try:
        with whole_file(path, replace=force) as file:
            file.write(content)
    except FileExistsError:
        raise UsageError(f"{path} exists; choose another name, or use --force to replace it.") from None
    except OSError as error:
        raise _refused(path, error) from error


@contextmanager
def whole_file(path: Path, replace: bool = True) -> Iterator[BinaryIO]:
    """Give a file to write that takes the name `path`, complete and on disk, when the block ends well.

    When the block ends otherwise, the file vanishes and `path` is as before. A process that is killed leaves
    `.NAME.*.partial` beside it; the next writer of the same name removes that.

    Raises OSError for what the system refuses; FileExistsError if `path` exists by then, without `replace`.
    """
    path = path.absolute()
    _remove_abandoned(path)
    descriptor, partial = _new_partial(path)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
            if replace:
                partial.replace(path)
            else:
                _name_new(partial, path)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    with suppress(OSError):  # not every system opens folders
        sync(path.parent)


def sync(path: Path) -> None:
    """Have a file's bytes, or the names in a folder, on disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_place(path: Path, force: bool) -> None:
    if path.is_dir() or path.is_symlink():
        raise UsageError(f"{path} is a folder or a link; name a file.")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"The folder of {path} does not exist.")
    if path.exists() and not force:
        raise UsageError(f"{path} exists; choose another name, or use --force to replace it.")


def _new_partial(path: Path) -> tuple[int, Path]:
    """Open a new file beside `path` and lock it, so that other writers see that its process is alive."""
    while True:
        partial = path.with_name(f"{_stem(path)}{secrets.token_hex(4)}.partial")
        descriptor = os.open(partial, _NEW, 0o666)
        try:
            if _lock(descriptor, without_locks=True) and _is_still(descriptor, partial):
                return descriptor, partial
        except BaseException:
            os.close(descriptor)
            partial.unlink(missing_ok=True)
            raise
        os.close(descriptor)  # another writer took it for abandoned before it was locked


def _remove_abandoned(path: Path) -> None:
    """Remove the partial files of `path` whose processes are dead: the system has dropped their locks."""
    name = re.compile(re.escape(_stem(path)) + r"[0-9a-f]{8}\.partial")
    with suppress(OSError):
        for partial in [entry for entry in path.parent.iterdir() if name.fullmatch(entry.name)]:
            with suppress(OSError):
                descriptor = os.open(partial, _FOUND)
                try:
                    if _lock(descriptor, without_locks=False) and _is_still(descriptor, partial):
                        partial.unlink()
                finally:
                    os.close(descriptor)


def _stem(path: Path) -> str:
    return f".{path.name[:40]}."


def _lock(descriptor: int, without_locks: bool) -> bool:
    """Lock a file; False if another process has it, and `without_locks` where the disk keeps no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return without_locks
    return True


def _is_still(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _name_new(partial: Path, path: Path) -> None:
    """Give a file its name unless another file has it, in one step where the disk knows second names."""
    try:
        path.hardlink_to(partial)
    except FileExistsError:
        raise
    except OSError as error:  # a disk without second names
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from error
        partial.rename(path)
    else:
        partial.unlink()


def _refused(path: Path, error: OSError) -> FileWriteError:
    reason = error.strerror or str(error)
    return FileWriteError(f"{path} could not be written ({reason}); nothing was left behind and nothing was replaced.")
