"""Fill a folder beside its final place and put it there in one step, or leave everything as it was."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from chita_edge.bundle.errors import BundleExistsError, BundleWriteError
from chita_edge.bundle.verify import listed_paths
from chita_edge.errors import BundleTamperedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


@contextmanager
def staged(folder: str | Path, force: bool = False) -> Iterator[Path]:
    """Give a fresh folder to fill; when the block ends well it becomes ``folder``, else it vanishes.

    An existing ``folder`` is refused unless ``force``; with ``force`` it must be empty or a bundle with nothing else in
    it, and it is moved aside only once the new one is complete and on disk, and moved back if the last step fails.
    Ctrl-C at any moment ends in one of the two states. (A process that is killed outright can leave the hidden
    sibling ``.<name>.*.partial``, never half a bundle.)

    Raises BundleExistsError, or BundleWriteError for what the operating system refuses (disk full, permissions).
    """
    folder = Path(folder).absolute()
    check_target(folder, force)
    made: list[Path] = []
    staging: Path | None = None
    done = False
    try:
        with uninterrupted():
            made = _make_parents(folder.parent)
            staging = Path(tempfile.mkdtemp(prefix=f".{folder.name[:40]}.", suffix=".partial", dir=folder.parent))
        yield staging
        _make_public_and_durable(staging)
        check_target(folder, force)
        with uninterrupted():
            _swap(staging, folder)
            done = True
    except OSError as error:
        reason = error.strerror or str(error)
        raise BundleWriteError(
            f"The bundle {folder} could not be written ({reason}); nothing was left behind and nothing was replaced."
        ) from error
    finally:
        if not done:
            with uninterrupted():
                if staging is not None:
                    shutil.rmtree(staging, ignore_errors=True)
                for parent in reversed(made):
                    with suppress(OSError):
                        parent.rmdir()


def check_target(folder: Path, force: bool) -> None:
    """Refuse a ``folder`` that may not become a bundle: BundleExistsError with the reason.

    Called before long work, so that nobody waits minutes to read that the folder exists.
    """
    if folder.is_symlink():
        raise BundleExistsError(f"{folder} is a link; name a folder that can be replaced as a whole.")
    if not folder.exists():
        return
    if not folder.is_dir():
        raise BundleExistsError(f"{folder} exists and is not a folder; choose another name.")
    if not force:
        raise BundleExistsError(f"{folder} exists; choose another folder, or use --force to replace the bundle in it.")
    home = Path("~").expanduser()
    if folder == home or folder in home.parents or folder in Path.cwd().parents:
        raise BundleExistsError(f"{folder} is or holds your home or working folder, and is not replaced.")
    if not any(folder.iterdir()):
        return
    try:
        listed = listed_paths(folder)
    except BundleTamperedError as error:
        raise BundleExistsError(f"{folder} is not a bundle, so --force does not replace it: {error}") from error
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if (path.is_symlink() or not path.is_dir()) and name not in listed:
            raise BundleExistsError(
                f"{folder} holds {name!r}, which is no part of the bundle in it; move it away, then use --force."
            )


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back while the block runs, and deliver it afterwards.

    The handler is exchanged rather than the signal masked: a mask would not bind the other threads of the process.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: came.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before if before is not None else signal.SIG_DFL)
        if came and callable(before):
            before(*came[0])


def _make_parents(parent: Path) -> list[Path]:
    """Create ``parent`` and return the folders that had to be created, outermost first."""
    missing = [path for path in (parent, *parent.parents) if not path.exists()]
    parent.mkdir(parents=True, exist_ok=True)
    return missing[::-1]


def _make_public_and_durable(staging: Path) -> None:
    umask = os.umask(0)
    os.umask(umask)
    staging.chmod(0o777 & ~umask)  # mkdtemp makes it private
    for parent, _, names in os.walk(staging):
        for path in [*(os.path.join(parent, name) for name in names), parent]:  # noqa: PTH118
            _fsync(path)


def _fsync(path: str | Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _swap(staging: Path, folder: Path) -> None:
    """Move ``staging`` to ``folder``; what stood there is moved back if that fails, and removed if it does not."""
    aside = staging.with_suffix(".replaced")
    if not folder.exists() or not any(folder.iterdir()):
        staging.rename(folder)
    else:
        folder.rename(aside)
        try:
            staging.rename(folder)
        except BaseException:
            aside.rename(folder)
            raise
    with suppress(OSError):
        _fsync(folder.parent)
    shutil.rmtree(aside, ignore_errors=True)
