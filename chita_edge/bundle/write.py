"""Write a bundle: files, their list, and the list of what was measured."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from chita_edge.bundle.errors import BundleWriteError
from chita_edge.bundle.manifest import FileEntry, index_bytes, manifest_bytes, parse_index
from chita_edge.bundle.paths import INDEX, MANIFEST, first_collision, path_problem
from chita_edge.bundle.staging import staged
from chita_edge.bundle.verify import verify_bundle

if TYPE_CHECKING:
    from collections.abc import Mapping

_CHUNK = 1 << 20


def write_bundle(
    folder: str | Path,
    files: Mapping[str, bytes | Path],
    content: Mapping[str, object],
    *,
    measurements: Mapping[str, bytes | Path] | None = None,
    force: bool = False,
) -> Path:
    """Write the bundle ``folder`` as a whole, or not at all, and return its absolute path.

    ``files`` maps paths inside the bundle to their bytes, or to a file to copy; they and ``content`` (what the manifest
    says beside the list of files: configuration, versions, layers, accuracy) must follow from inputs and seed alone.
    ``measurements`` holds what differs from run to run (``bench/*.json``, ``report.html``), see
    :mod:`chita_edge.bundle.manifest`.

    With None the bundle has no list of them; with an empty mapping they can be added later.

    Raises BundleExistsError if ``folder`` exists (with ``force``: if it is neither empty nor a bundle),
    BundleWriteError if it cannot be written, ValueError for a path that may not stand in a bundle.
    """
    _check_paths([MANIFEST, *files, *((INDEX, *measurements) if measurements is not None else ())])
    with staged(folder, force) as staging:
        entries = {path: _put(staging, path, files[path]) for path in sorted(files)}
        listing = manifest_bytes(entries, measurements is not None, content)
        manifest = _put(staging, MANIFEST, listing)
        if measurements is not None:
            measured = {path: _put(staging, path, measurements[path]) for path in sorted(measurements)}
            _put(staging, INDEX, index_bytes(measured, manifest.sha256))
    return Path(folder).absolute()


def add_measurements(folder: str | Path, measurements: Mapping[str, bytes | Path]) -> None:
    """Add measured files to a bundle, or replace them; ``manifest.json`` and every file that it lists stay as they are.

    The bundle must have been written with measurements. It is verified first, and replaced as a whole, so that an
    interruption leaves the old one. Raises what :func:`verify_bundle` and :func:`write_bundle` raise.
    """
    folder = Path(folder).absolute()
    manifest = verify_bundle(folder)
    if not manifest.has_measurements:
        raise BundleWriteError(f"The bundle {folder} was built without measurements; build it again to have them.")
    index = parse_index((folder / INDEX).read_bytes())
    _check_paths([MANIFEST, INDEX, *manifest.files, *(index.files.keys() | measurements.keys())])
    with staged(folder, force=True) as staging:
        for path in sorted({MANIFEST, *manifest.files}):
            _put(staging, path, folder / path)
        sources: dict[str, bytes | Path] = {path: folder / path for path in index.files}
        sources.update(measurements)
        entries = {path: _put(staging, path, sources[path]) for path in sorted(sources)}
        _put(staging, INDEX, index_bytes(entries, index.manifest_sha256))


def _check_paths(paths: list[str]) -> None:
    for path in paths:
        if problem := path_problem(path):
            raise ValueError(f"the path {path!r:.80} may not stand in a bundle: it {problem}")
    if pair := first_collision(paths):
        raise ValueError(f"the paths {pair[0]!r} and {pair[1]!r} collide in a bundle")


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
