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
    """Raise UsageError when `path` may not be written: before long work, so that nobody waits for that sentence."""
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
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=".partial", dir=path.parent)
        partial = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        partial.chmod(0o666 & ~umask)  # mkstemp makes it private
        check_free(path, force)
        partial.replace(path)
        partial = None
    except OSError as error:
        reason = error.strerror or str(error)
        raise FileWriteError(
            f"{path} could not be written ({reason}); nothing was left behind and nothing was replaced."
        ) from error
    finally:
        if partial is not None:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
