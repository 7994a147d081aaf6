"""Hold a bundle on disk against its lists: every file there, no other, each byte as listed. Nothing is followed."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

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

_CHUNK = 1 << 20
# O_NONBLOCK: opening a FIFO that somebody put in a file's place must not hang.
_OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def verify_bundle(folder: str | Path) -> Manifest:
    """Return the manifest of the bundle in ``folder`` if every file is exactly as listed.

    Raises :class:`~chita_edge.errors.BundleTamperedError` naming the first file that is changed, added, missing,
    linked (symbolically, or by a second name on the same disk), not a regular file, or listed under a path that leaves
    the bundle; :class:`~chita_edge.errors.UsageError` if there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; name the folder that holds the bundle's {MANIFEST}.")
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        manifest_data = _read_list(root, MANIFEST)
        manifest = parse_manifest(manifest_data)
        index = parse_index(_read_list(root, INDEX)) if manifest.has_measurements else None
        _check_lists(manifest, index, hashlib.sha256(manifest_data).hexdigest())
        listed = {**manifest.files, **(index.files if index else {})}
        _check_tree(root, set(listed) | {MANIFEST} | ({INDEX} if index else set()))
        for path in sorted(listed):
            _check_file(root, path, listed[path])
    finally:
        os.close(root)
    return manifest


def listed_paths(folder: Path) -> set[str]:
    """Every path that the lists of the bundle in ``folder`` name, and the lists; contents are not checked.

    Raises BundleTamperedError when ``folder`` does not hold the lists of a bundle.
    """
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        manifest = parse_manifest(_read_list(root, MANIFEST))
        paths = {MANIFEST, *manifest.files}
        if manifest.has_measurements:
            paths |= {INDEX, *parse_index(_read_list(root, INDEX)).files}
        return paths
    finally:
        os.close(root)


def _check_lists(manifest: Manifest, index: MeasurementIndex | None, manifest_sha256: str) -> None:
    listed = [MANIFEST, *manifest.files]
    if index is not None:
        if index.manifest_sha256 != manifest_sha256:
            raise BundleTamperedError(f"{INDEX} belongs to another {MANIFEST} than the one beside it.")
        listed += [INDEX, *index.files]
    if pair := first_collision(listed):
        raise BundleTamperedError(f"The bundle lists {pair[0]!r} and {pair[1]!r}, which are one file on some disks.")


def _check_tree(root: int, listed: set[str]) -> None:
    """Walk the folder without following anything; every entry must be listed, or be a folder of something listed."""
    folders = {"/".join(path.split("/")[:depth]) for path in listed for depth in range(1, path.count("/") + 1)}
    found: set[str] = set()
    for parent, subfolders, names, descriptor in os.fwalk(".", dir_fd=root, follow_symlinks=False, onerror=_unreadable):
        prefix = "" if parent == "." else parent.removeprefix("./") + "/"
        for name in subfolders + names:
            path = prefix + name
            mode = os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode
            if stat.S_ISLNK(mode):
                raise BundleTamperedError(f"{path!r} is a link; a bundle holds only regular files.")
            if path not in (folders if stat.S_ISDIR(mode) else listed):
                raise BundleTamperedError(f"{path!r} was added: the bundle's lists do not name it.")
            found.add(path)
            if len(found) > 4 * MAX_FILES:
                raise BundleTamperedError("The folder holds far more entries than a bundle may list.")
    if missing := sorted(listed - found):
        raise BundleTamperedError(f"{missing[0]!r} is missing from the bundle.")


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


def _unreadable(error: OSError) -> None:
    raise BundleTamperedError(f"{error.filename!r} cannot be read ({error.strerror}).") from error
