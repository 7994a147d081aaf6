"""Write a bundle: its files, their list, and the list of the measured files."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from chita_edge.bundle.errors import BundleWriteError
from chita_edge.bundle.manifest import (
    MAX_LIST_BYTES,
    FileEntry,
    Manifest,
    index_bytes,
    manifest_bytes,
    parse_index,
)
from chita_edge.bundle.paths import INDEX, MANIFEST, MAX_FILES, first_collision, path_problem
from chita_edge.bundle.staging import check_target, refusals_told, staged
from chita_edge.bundle.verify import verify_bundle
from chita_edge.errors import BundleTamperedError, UsageError
from chita_edge.storage.folder_lock import only_writer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Change = Callable[[Manifest, Mapping[str, FileEntry]], Mapping[str, bytes | Path]]

    Measured = Callable[["Earlier"], Mapping[str, bytes | Path]]

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Earlier:
    """Measured files of a bundle that is about to be replaced.

    Attributes:
        files: by path in the bundle; they are there until the new bundle is complete. Empty where there is none.
        same_product: they are of the product to come: the old manifest has the new one's bytes.
    """

    files: Mapping[str, Path] = field(default_factory=dict)
    same_product: bool = False


def write_bundle(
    folder: str | Path,
    files: Mapping[str, bytes | Path],
    content: Mapping[str, object],
    *,
    measurements: Mapping[str, bytes | Path] | Measured | None = None,
    force: bool = False,
) -> Path:
    """Write the bundle ``folder`` as a whole, or not at all, and return its absolute path.

    ``files`` maps paths inside the bundle to their bytes, or to a file to copy; they and ``content`` (what the manifest
    says beside the list of files: configuration, versions, layers, accuracy) must follow from inputs and seed alone.
    ``measurements`` holds what differs from run to run (``bench/*.json``, ``report.html``), see
    :mod:`chita_edge.bundle.manifest`.

    With None the bundle has no list of them; with an empty mapping they can be added later. A function is given what
    the bundle that is about to be replaced had measured, and returns the new bundle's.

    Raises BundleExistsError if ``folder`` exists (with ``force``: if it is neither empty nor a bundle),
    BundleWriteError if it cannot be written, ValueError for a path that may not stand in a bundle.
    """
    measured = measurements if measurements is None or callable(measurements) else dict(measurements)
    _check_paths([MANIFEST, *files, *((INDEX, *measured) if isinstance(measured, dict) else ())])
    folder = Path(folder).absolute()
    check_target(folder, force)
    with (
        refusals_told(folder),
        only_writer(folder, make_parents=True) as siblings,
        staged(folder, siblings, force) as staging,
    ):
        entries = {path: _put(staging, path, files[path]) for path in sorted(files)}
        listing = manifest_bytes(entries, measured is not None, content)
        manifest = _put(staging, MANIFEST, _bounded(listing, MANIFEST))
        if measured is not None:
            sources = measured(_earlier(folder, manifest.sha256)) if callable(measured) else measured
            _check_paths([MANIFEST, INDEX, *files, *sources])
            put = {path: _put(staging, path, sources[path]) for path in sorted(sources)}
            _put(staging, INDEX, _bounded(index_bytes(put, manifest.sha256), INDEX))
    return folder


def _earlier(folder: Path, manifest_sha256: str) -> Earlier:
    try:
        if not verify_bundle(folder).has_measurements:
            return Earlier()
    except (BundleTamperedError, UsageError):  # nothing is there yet, or nothing that can be kept
        return Earlier()
    index = parse_index((folder / INDEX).read_bytes())
    return Earlier({path: folder / path for path in index.files}, index.manifest_sha256 == manifest_sha256)


def add_measurements(folder: str | Path, measurements: Mapping[str, bytes | Path]) -> None:
    """Add measured files to a bundle, or replace them; see :func:`change_measurements`."""
    change_measurements(folder, lambda *_: measurements)


def change_measurements(folder: str | Path, change: Change) -> None:
    """Give ``change`` the manifest and the listed measured files of a bundle; add the files that it returns.

    Files of the same path are replaced; ``manifest.json`` and every file that it lists stay as they are. The bundle
    must have been written with measurements. It is verified, and replaced as a whole, so that an interruption leaves
    the old one; other writers wait from before ``change`` reads until then, so that nothing they add is lost.

    Raises what :func:`verify_bundle`, ``change`` and :func:`write_bundle` raise.
    """
    folder = Path(folder).absolute()
    verify_bundle(folder)  # what is no bundle is told before a lock is made beside it
    with refusals_told(folder), only_writer(folder) as siblings:
        manifest = verify_bundle(folder)
        if not manifest.has_measurements:
            raise BundleWriteError(f"The bundle {folder} was built without measurements; build it again to have them.")
        index = parse_index((folder / INDEX).read_bytes())
        added = change(manifest, index.files)
        _check_paths([MANIFEST, INDEX, *manifest.files, *(index.files.keys() | added.keys())])
        with staged(folder, siblings, force=True) as staging:
            for path in sorted({MANIFEST, *manifest.files}):
                _put(staging, path, folder / path)
            sources: dict[str, bytes | Path] = {path: folder / path for path in index.files}
            sources.update(added)
            entries = {path: _put(staging, path, sources[path]) for path in sorted(sources)}
            _put(staging, INDEX, _bounded(index_bytes(entries, index.manifest_sha256), INDEX))


def _check_paths(paths: list[str]) -> None:
    if len(paths) > MAX_FILES:
        raise BundleWriteError(f"A bundle holds at most {MAX_FILES} files; this one would have {len(paths)}.")
    for path in paths:
        if problem := path_problem(path):
            raise ValueError(f"the path {path!r:.80} may not stand in a bundle: it {problem}")
    if pair := first_collision(paths):
        raise ValueError(f"the paths {pair[0]!r} and {pair[1]!r} collide in a bundle")


def _bounded(listing: bytes, name: str) -> bytes:
    """A list that readers will take."""
    if len(listing) > MAX_LIST_BYTES:
        raise BundleWriteError(f"{name} would be larger than {MAX_LIST_BYTES >> 20} MiB, which no reader takes.")
    return listing


def _put(staging: Path, path: str, source: bytes | Path) -> FileEntry:
    """Write one file of the bundle; the entry describes the bytes that were written, not those that were meant."""
    target = staging / path
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    with os.fdopen(descriptor, "wb") as file:
        if isinstance(source, bytes):
            file.write(source)
            return FileEntry(hashlib.sha256(source).hexdigest(), len(source))
        with source.open("rb") as original:
            while chunk := _read(original):
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
    return FileEntry(digest.hexdigest(), size)


def _read(file: BinaryIO) -> bytes:
    return file.read(_CHUNK)
