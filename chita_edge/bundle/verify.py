"""Check of a bundle against its lists: every listed file, no other, each byte as listed. No link is followed."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NoReturn, TypeVar

from chita_edge.bundle.manifest import (
    MAX_LIST_BYTES,
    FileEntry,
    Manifest,
    MeasurementIndex,
    parse_index,
    parse_manifest,
)
from chita_edge.bundle.paths import INDEX, MANIFEST, MAX_FILES, first_collision
from chita_edge.errors import BundleTamperedError, UsageError
from chita_edge.storage.folder_lock import Siblings, only_writer

Read = TypeVar("Read")

_CHUNK = 1 << 20
_MOST_REPLACEMENTS = 100
# O_NONBLOCK: opening a FIFO that somebody put in a file's place must not hang.
_OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def verify_bundle(folder: str | Path) -> Manifest:
    """Return the manifest of the bundle in ``folder`` if every file is exactly as listed.

    A bundle that is replaced meanwhile is read again: what is verified is the old one or the new one, never parts of
    both.

    Raises :class:`~chita_edge.errors.BundleTamperedError` naming the first file that is changed, added, missing,
    linked (symbolically, or by a second name on the same disk), not a regular file, or listed under a path that leaves
    the bundle; :class:`~chita_edge.errors.UsageError` if there is no such folder.
    """
    try:
        return _read_steadily(Path(folder), _verify)
    except BundleTamperedError as error:
        raise BundleTamperedError(f"{folder}: {error}") from error


def first_unlisted(folder: Path) -> str | None:
    """The first link or file in ``folder`` that the lists of its bundle do not name; contents are not checked.

    Raises BundleTamperedError when ``folder`` does not hold the lists of a bundle.
    """
    return _read_steadily(folder, _unlisted)


def _read_steadily(folder: Path, read: Callable[[int], Read]) -> Read:
    """Read a folder through one descriptor; read again if another folder was given its name meanwhile."""
    for _ in range(_MOST_REPLACEMENTS):
        root = _open(folder)
        if root is None:
            continue
        try:
            return read(root)
        except BundleTamperedError:
            if _is_still(root, folder):
                raise
        finally:
            os.close(root)
    raise BundleTamperedError(f"{folder} is replaced again and again while it is read; try it when that has ended.")


def _open(folder: Path) -> int | None:
    """The open folder; None where a writer has moved the bundle aside, and may have put another there by now.

    A disk that cannot exchange names is without the bundle for a moment, and until here if the writer was killed then.
    """
    try:
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        if Siblings.of(folder.absolute()).replaced.is_dir():
            with suppress(OSError), only_writer(folder.absolute()):
                pass
        elif not folder.is_dir():
            raise UsageError(f"{folder} is not a folder; name the folder that holds the bundle's {MANIFEST}.") from None
        return None
    except OSError as error:
        raise UsageError(f"{folder} cannot be opened ({error.strerror}).") from error


def _is_still(root: int, folder: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(root), folder.stat())
    except FileNotFoundError:
        return False


def _verify(root: int) -> Manifest:
    manifest_data = _read_list(root, MANIFEST)
    manifest = parse_manifest(manifest_data)
    index = parse_index(_read_list(root, INDEX)) if manifest.has_measurements else None
    _check_lists(manifest, index, hashlib.sha256(manifest_data).hexdigest())
    listed = {**manifest.files, **(index.files if index else {})}
    _check_tree(root, set(listed) | {MANIFEST} | ({INDEX} if index else set()))
    for path in sorted(listed):
        _check_file(root, path, listed[path])
    return manifest


def _unlisted(root: int) -> str | None:
    manifest = parse_manifest(_read_list(root, MANIFEST))
    listed = {MANIFEST, *manifest.files}
    if manifest.has_measurements:
        listed |= {INDEX, *parse_index(_read_list(root, INDEX)).files}
    others = (path for path, mode in _tree(root) if not stat.S_ISDIR(mode) and path not in listed)
    return min(others, default=None)


def _check_lists(manifest: Manifest, index: MeasurementIndex | None, manifest_sha256: str) -> None:
    listed = [MANIFEST, *manifest.files]
    if index is not None:
        if index.manifest_sha256 != manifest_sha256:
            raise BundleTamperedError(f"{INDEX} belongs to another {MANIFEST} than the one beside it.")
        listed += [INDEX, *index.files]
    if pair := first_collision(listed):
        raise BundleTamperedError(f"The bundle lists {pair[0]!r} and {pair[1]!r}, which are one file on some disks.")


def _check_tree(root: int, listed: set[str]) -> None:
    """Every entry must be listed, or be a folder of something listed."""
    folders = {"/".join(path.split("/")[:depth]) for path in listed for depth in range(1, path.count("/") + 1)}
    found: set[str] = set()
    for path, mode in _tree(root):
        if stat.S_ISLNK(mode):
            raise BundleTamperedError(f"{path!r} is a link; a bundle holds only regular files.")
        if path not in (folders if stat.S_ISDIR(mode) else listed):
            raise BundleTamperedError(f"{path!r} was added: the bundle's lists do not name it.")
        found.add(path)
        if len(found) > 4 * MAX_FILES:
            raise BundleTamperedError("The folder holds far more entries than a bundle may list.")
    if missing := sorted(listed - found):
        raise BundleTamperedError(f"{missing[0]!r} is missing from the bundle.")


def _tree(root: int) -> Iterator[tuple[str, int]]:
    """Path and mode of everything in the folder; no link is followed."""
    for parent, subfolders, names, descriptor in os.fwalk(".", dir_fd=root, follow_symlinks=False, onerror=_unreadable):
        prefix = "" if parent == "." else parent.removeprefix("./") + "/"
        for name in subfolders + names:
            try:
                mode = os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode
            except OSError as error:
                _unreadable(error)
            yield prefix + name, mode


def _check_file(root: int, path: str, entry: FileEntry) -> None:
    descriptor = _open_regular(root, path)
    try:
        status = os.fstat(descriptor)
        if status.st_size != entry.size:
            raise BundleTamperedError(
                f"{path!r} was changed: it has {status.st_size} bytes, and {entry.size} are listed."
            )
        digest, left = hashlib.sha256(), entry.size
        while left and (chunk := os.read(descriptor, min(_CHUNK, left))):
            digest.update(chunk)
            left -= len(chunk)
        if left or digest.hexdigest() != entry.sha256:
            raise BundleTamperedError(f"{path!r} was changed: its sha256 is not the one that is listed.")
    except OSError as error:
        raise BundleTamperedError(f"{path!r} cannot be read ({error.strerror}).") from error
    finally:
        os.close(descriptor)


def _open_regular(root: int, path: str) -> int:
    """Open ``path`` below ``root`` one part at a time, so that no part of it can be a link; the caller closes it."""
    *parents, name = path.split("/")
    folder = os.dup(root)
    try:
        for parent in parents:
            below = os.open(parent, _OPEN_FLAGS | os.O_DIRECTORY, dir_fd=folder)
            os.close(folder)
            folder = below
        descriptor = os.open(name, _OPEN_FLAGS, dir_fd=folder)
    except FileNotFoundError:
        raise BundleTamperedError(f"{path!r} is missing from the bundle.") from None
    except OSError as error:
        raise BundleTamperedError(f"{path!r} is a link or cannot be opened ({error.strerror}).") from error
    finally:
        os.close(folder)
    status = os.fstat(descriptor)
    problem = None
    if not stat.S_ISREG(status.st_mode):
        problem = "is not a regular file"
    elif status.st_nlink != 1:
        problem = "has a second name (a hard link) through which it can be changed; copy the bundle afresh"
    if problem:
        os.close(descriptor)
        raise BundleTamperedError(f"{path!r} {problem}.")
    return descriptor


def _read_list(root: int, path: str) -> bytes:
    with os.fdopen(_open_regular(root, path), "rb") as file:
        try:
            return file.read(MAX_LIST_BYTES + 1)
        except OSError as error:
            raise BundleTamperedError(f"{path!r} cannot be read ({error.strerror}).") from error


def _unreadable(error: OSError) -> NoReturn:
    raise BundleTamperedError(f"{error.filename!r} cannot be read ({error.strerror}).") from error
