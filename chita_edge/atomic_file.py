"""Write one file in one step: all of it appears under its name, or nothing does."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from chita_edge.errors import ChitaEdgeError, UsageError


class FileWriteError(ChitaEdgeError):
    """A result could not be written."""


def check_free(path: Path, force: bool) -> None:
    """Raise UsageError when `path` may not be written: before long work, so that nobody waits for that sentence.

    Raises FileWriteError when no file can be made in its folder.
    """
    _check_place(path, force)
    try:
        descriptor, name = _partial(path)
        os.close(descriptor)
        Path(name).unlink()
    except OSError as error:
        raise _refused(path, error) from error


def _check_place(path: Path, force: bool) -> None:
    if path.is_dir() or path.is_symlink():
        raise UsageError(f"{path} is a folder or a link; name a file.")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"The folder of {path} does not exist.")
    if path.exists() and not force:
        raise UsageError(f"{path} exists; choose another name, or use --force to replace it.")


def write_file(path: Path, content: bytes, force: bool = False) -> None:
    """Put `content` at `path`; an interruption or a full disk leaves what was there before, and no other file.

    Raises FileWriteError for what the operating system refuses, UsageError as `check_free`.
    """
    path = path.absolute()
    partial: Path | None = None
    try:
        descriptor, name = _partial(path)
        partial = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        partial.chmod(0o666 & ~umask)  # mkstemp makes it private
        _check_place(path, force)
        partial.replace(path)
        partial = None
    except OSError as error:
        raise _refused(path, error) from error
    finally:
        if partial is not None:
            with suppress(OSError):
                partial.unlink(missing_ok=True)


def _partial(path: Path) -> tuple[int, str]:
    """A new file beside `path`, opened, and its name."""
    path = path.absolute()
    return tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=".partial", dir=path.parent)


def _refused(path: Path, error: OSError) -> FileWriteError:
    reason = error.strerror or str(error)
    return FileWriteError(f"{path} could not be written ({reason}); nothing was left behind and nothing was replaced.")
