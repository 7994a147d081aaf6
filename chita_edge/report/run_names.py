"""Names of runs in a bundle: one file a run, whatever its own file was called."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection

from chita_edge.bundle.paths import path_problem

_LONGEST = 100


def run_path(stem: str, taken: Collection[str]) -> str:
    """Path of a new run in a bundle, ``bench/STEM.json``, or ``bench/STEM-2.json`` and so on where that is taken.

    stem: name of the run's own file without its suffix; characters that no bundle may hold, such as the colon of
    ``ssh:host``, become dashes. taken: paths that there are; upper and lower case are one, as on some disks.
    """
    known = {path.casefold() for path in taken}
    name = unicodedata.normalize("NFC", stem.encode("utf-8", "replace").decode("utf-8"))
    name = "".join("-" if path_problem(f"{character}.json") else character for character in name.replace("/", "-"))
    name = name.encode("utf-8")[:_LONGEST].decode("utf-8", "ignore").strip(". ") or "run"
    number, path = 1, f"bench/{name}.json"
    while path.casefold() in known:
        number += 1
        path = f"bench/{name}-{number}.json"
    return path
