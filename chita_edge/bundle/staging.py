"""Folder that is filled beside its final place, and put there in one step or not at all."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from chita_edge.bundle.errors import BundleExistsError, BundleWriteError
from chita_edge.bundle.verify import first_unlisted
from chita_edge.errors import BundleTamperedError
from chita_edge.storage.atomic_file import sync
from chita_edge.storage.exchange import exchange
from chita_edge.storage.folder_lock import remove
from chita_edge.storage.uninterrupted import uninterrupted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chita_edge.storage.folder_lock import Siblings


@contextmanager
def refusals_told(folder: Path) -> Iterator[None]:
    """Turn what the operating system refuses (disk full, permissions) into BundleWriteError."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise BundleWriteError(
            f"The bundle {folder} could not be written ({reason}); nothing was left behind and nothing was replaced."
        ) from error


@contextmanager
def staged(folder: Path, siblings: Siblings, force: bool = False) -> Iterator[Path]:
    """Give a fresh folder to fill; when the block ends well it becomes ``folder``, else it vanishes.

    The caller holds the bundle's lock (:func:`chita_edge.storage.folder_lock.only_writer`). An existing ``folder`` is
    refused unless ``force``; with ``force`` it must be empty or a bundle with nothing else in it. It is replaced only
    once the new one is complete and on disk, by an exchange of names: whoever looks sees the old one or the new one.
    Where the disk cannot exchange names, the old one is moved aside first, and a kill between the two moves is undone
    by whoever comes next.

    Raises BundleExistsError, and OSError for what the operating system refuses.
    """
    check_target(folder, force)
    try:
        siblings.partial.mkdir()
        yield siblings.partial
        _make_durable(siblings.partial)
        check_target(folder, force)
        with uninterrupted():
            _put_in_place(folder, siblings)
            with suppress(OSError):
                sync(folder.parent)
    finally:
        with uninterrupted(), suppress(OSError):
            remove(siblings.partial)  # the new bundle, or the old one once they were exchanged


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
    if _is_empty(folder):
        return
    try:
        name = first_unlisted(folder)
    except BundleTamperedError as error:
        raise BundleExistsError(f"{folder} is not a bundle, so --force does not replace it: {error}") from error
    if name is not None:
        raise BundleExistsError(
            f"{folder} holds {name!r}, which is no part of the bundle in it; move it away, then use --force."
        )


def _put_in_place(folder: Path, siblings: Siblings) -> None:
    """Move the new bundle to ``folder``, and what stood there to where the new one was."""
    if not folder.exists() or _is_empty(folder):
        siblings.partial.rename(folder)
    elif not exchange(siblings.partial, folder):
        folder.rename(siblings.replaced)
        try:
            siblings.partial.rename(folder)
        except BaseException:
            siblings.replaced.rename(folder)
            raise
        with suppress(OSError):  # the new one is in its place; the next writer removes what stays here
            siblings.replaced.rename(siblings.partial)


def _is_empty(folder: Path) -> bool:
    return not any(folder.iterdir())


def _make_durable(folder: Path) -> None:
    for parent, _, names in os.walk(folder):
        for path in [*(Path(parent, name) for name in names), Path(parent)]:
            sync(path)
