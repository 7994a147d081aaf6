"""Format of a bundle's two lists of files: ``manifest.json`` and ``bench/index.json``.

``manifest.json`` describes the product: resolved configuration, versions, per-layer decisions, accuracy, and size and
sha256 of every file that follows from the inputs and the seed. It holds no time, no latency and no host name, so two
builds from the same inputs and seed give the same bytes, and ``sha256sum manifest.json`` is the bundle's identity: who
wants to know whether two builds agree compares these two sums.

Measured files (``bench/*.json``, ``report.html``) differ from run to run by their nature. Their sizes and sha256 stand
in ``bench/index.json``, which the manifest names and which itself carries the sha256 of the manifest that it belongs
to, so that measurements of one product cannot be shown with another. ``verify`` holds both lists against the disk: a
flipped byte in a measured file is found like any other. Later runs are added by rewriting the index alone.

Format, version 1 (both files are UTF-8 JSON objects, keys sorted, two spaces, one trailing newline):

- ``manifest.json`` MUST hold ``kind`` = "chita-edge bundle", ``schema_version`` = 1, ``files`` and ``measurements``
  (null, or "bench/index.json"); any further key is content. It MUST be at most 8 MiB.
- ``bench/index.json`` MUST hold ``kind`` = "chita-edge measurements", ``schema_version`` = 1, ``files`` and
  ``manifest_sha256``.
- ``files`` MUST map each path to ``{"sha256": 64 lower-case hex digits, "size": bytes}``; paths obey
  :func:`chita_edge.bundle.paths.path_problem`, and no two of both lists may collide without regard to case.
- Both MUST hold ``own_sha256``, the sha256 of the same document serialized without this key, and MUST be byte for byte
  what this module would write: no byte of either can change unnoticed.
- A key MUST NOT appear twice in an object; numbers MUST be finite.

These sums find damage and carelessness. They are no signature: who can write to the folder can write new sums.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from chita_edge.bundle.paths import INDEX, MANIFEST, MAX_FILES, path_problem
from chita_edge.errors import BundleTamperedError

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA_VERSION = 1
KIND_MANIFEST = "chita-edge bundle"
KIND_INDEX = "chita-edge measurements"
MAX_LIST_BYTES = 8 << 20

_RESERVED = frozenset({"kind", "schema_version", "files", "measurements", "own_sha256"})
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class FileEntry:
    """Size in bytes and sha256 (64 lower-case hex digits) of one file."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Manifest:
    """A manifest as read: the reproducible files, whether there is a list of measured ones, and the content."""

    files: Mapping[str, FileEntry]
    has_measurements: bool
    content: Mapping[str, Any]


@dataclass(frozen=True)
class MeasurementIndex:
    """The list of measured files, and the manifest that they belong to."""

    files: Mapping[str, FileEntry]
    manifest_sha256: str


def manifest_bytes(files: Mapping[str, FileEntry], has_measurements: bool, content: Mapping[str, object]) -> bytes:
    """Serialize a manifest; the same arguments give the same bytes. ValueError if ``content`` uses a reserved key."""
    if taken := sorted(_RESERVED & set(content)):
        raise ValueError(f"the manifest's content may not use the key {taken[0]!r}, which the format itself uses")
    document = {
        **content,
        "kind": KIND_MANIFEST,
        "schema_version": SCHEMA_VERSION,
        "files": _plain(files),
        "measurements": INDEX if has_measurements else None,
    }
    return _dump(document)


def index_bytes(files: Mapping[str, FileEntry], manifest_sha256: str) -> bytes:
    """Serialize the list of measured files."""
    return _dump(
        {
            "kind": KIND_INDEX,
            "schema_version": SCHEMA_VERSION,
            "files": _plain(files),
            "manifest_sha256": manifest_sha256,
        }
    )


def parse_manifest(data: bytes) -> Manifest:
    """Read an untrusted manifest. Raises BundleTamperedError with a sentence that names what is wrong."""
    document = _parse(data, MANIFEST, KIND_MANIFEST)
    measurements = document.get("measurements")
    if measurements not in (None, INDEX):
        raise BundleTamperedError(f"{MANIFEST} names its measurements {measurements!r:.80}; only {INDEX!r} or null do.")
    content = {key: value for key, value in document.items() if key not in _RESERVED}
    return Manifest(_files(document, MANIFEST), measurements is not None, content)


def parse_index(data: bytes) -> MeasurementIndex:
    """Read an untrusted list of measured files. Raises BundleTamperedError."""
    document = _parse(data, INDEX, KIND_INDEX)
    digest = document.get("manifest_sha256")
    if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
        raise BundleTamperedError(f"{INDEX} does not say which manifest it belongs to.")
    return MeasurementIndex(_files(document, INDEX), digest)


def _plain(files: Mapping[str, FileEntry]) -> dict[str, dict[str, object]]:
    return {path: {"sha256": entry.sha256, "size": entry.size} for path, entry in files.items()}


def _dump(document: Mapping[str, object]) -> bytes:
    """Serialize with the document's own sum."""
    return _canonical({**document, "own_sha256": hashlib.sha256(_canonical(document)).hexdigest()})


def _canonical(document: Mapping[str, object]) -> bytes:
    text = json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8")


def _parse(data: bytes, name: str, kind: str) -> dict[str, Any]:
    if len(data) > MAX_LIST_BYTES:
        raise BundleTamperedError(f"{name} is larger than {MAX_LIST_BYTES} bytes.")
    try:
        document = json.loads(data.decode("utf-8"), object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise BundleTamperedError(f"{name} is not valid JSON ({reason:.200}).") from error
    if not isinstance(document, dict) or document.get("kind") != kind:
        raise BundleTamperedError(f"{name} is not a {kind} list; this folder is not a bundle, or the file was changed.")
    version = document.get("schema_version")
    if type(version) is not int or version != SCHEMA_VERSION:
        raise BundleTamperedError(
            f"{name} has schema version {version!r:.40}; this release reads version {SCHEMA_VERSION} only."
        )
    try:
        untouched = _dump({key: value for key, value in document.items() if key != "own_sha256"}) == data
    except ValueError as error:
        raise BundleTamperedError(f"{name} holds what no bundle holds ({error!s:.200}).") from error
    if not untouched:
        raise BundleTamperedError(f"{name} was changed: its own sha256 is not the one that it gives.")
    return cast("dict[str, Any]", document)


def _files(document: Mapping[str, Any], name: str) -> dict[str, FileEntry]:
    listed = document.get("files")
    if not isinstance(listed, dict):
        raise BundleTamperedError(f"{name} has no list of files.")
    if len(listed) > MAX_FILES:
        raise BundleTamperedError(f"{name} lists more than {MAX_FILES} files.")
    files: dict[str, FileEntry] = {}
    for path, entry in listed.items():
        if problem := path_problem(path):
            raise BundleTamperedError(f"{name} lists the path {path!r:.80}, which {problem}.")
        if path.casefold() in (MANIFEST, INDEX):
            raise BundleTamperedError(f"{name} lists {path!r}, which may not list itself.")
        sha256, size = (entry.get("sha256"), entry.get("size")) if isinstance(entry, dict) else (None, None)
        if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256) or type(size) is not int or size < 0:
            raise BundleTamperedError(f"{name} gives no sound sha256 and size for {path!r}.")
        files[path] = FileEntry(sha256, size)
    return files


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key appears twice in one object")
    return document


def _refuse_constant(constant: str) -> Any:
    raise ValueError(f"{constant} is not a finite number")
