"""Rules for paths in a bundle: none leads out of it, and no two are one file on any disk."""

from __future__ import annotations

import unicodedata

MANIFEST = "manifest.json"
INDEX = "bench/index.json"

MAX_PATH_BYTES = 240
MAX_FILES = 10_000

_FORBIDDEN = frozenset('\\:*?"<>|')  # separators and wildcards on the systems that app teams unpack bundles on


def path_problem(path: str) -> str | None:
    """Reason why ``path`` is not allowed in a bundle; None if it is allowed.

    A good path is relative, separated by ``/``, free of ``.`` and ``..`` parts, control characters, backslashes,
    colons and wildcards, in Unicode normal form C, and at most 240 bytes of UTF-8.
    """
    if not path:
        return "is empty"
    try:
        encoded = path.encode("utf-8")
    except UnicodeEncodeError:
        return "is not valid Unicode"
    if len(encoded) > MAX_PATH_BYTES:
        return f"is longer than {MAX_PATH_BYTES} bytes"
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in path):
        return "holds a control character"
    if any(character in _FORBIDDEN for character in path):
        return "holds a backslash, colon or wildcard"
    if path.startswith("/"):
        return "is absolute"
    parts = path.split("/")
    if ".." in parts:
        return "leaves the bundle through '..'"
    if any(part in ("", ".") or part.endswith((" ", ".")) for part in parts):
        return "has an empty part or one that ends in a dot or space"
    if unicodedata.normalize("NFC", path) != path:
        return "is not in Unicode normal form C"
    return None


def first_collision(paths: list[str]) -> tuple[str, str] | None:
    """Two of ``paths`` that are one file on a case-insensitive disk, or a file and its own folder; else None."""
    seen: dict[str, str] = {}
    for path in sorted(paths):
        folded = path.casefold()
        if folded in seen:
            return seen[folded], path
        seen[folded] = path
    for folded, path in seen.items():
        parts = folded.split("/")
        for depth in range(1, len(parts)):
            parent = "/".join(parts[:depth])
            if parent in seen:
                return seen[parent], path
    return None
