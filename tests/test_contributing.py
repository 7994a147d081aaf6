"""Places in which an op, a data type, a system, a device or a solver is added: as many as docs/contributing.md says.

The places are counted on one that is there: every source, without its comments, that names it. A folder of its own is
one place, and so is each of the folders `common`, `sparse_conv` and `weights`.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "contributing.md"
# What is added only if one wants it: bindings for tests and benchmarks.
OPTIONAL = {"runtimes/bindings.py", "runtimes/structures.py"}
COMMENT = re.compile(r'/\*.*?\*/|""".*?"""|#(?!include|define|if|elif|undef)[^\n]*', re.DOTALL)
# The ops of integers have names of their own, of which the float op's is a part.
INT8 = re.compile(r"/_?q_|quantized")
# What the page's placeholders stand for.
EXAMPLES = {"op": "global_average_pool", "kind": "ssh", "solver": "woodfisher_full"}
PLACES = {
    "an op": (
        r"global_average_pool|GlobalAveragePool|GLOBAL_AVERAGE_POOL",
        ("runtimes", "exporters/ops"),
        ("runtimes/native/global_average_pool",),
        {
            "runtimes/native/global_average_pool",
            "runtimes/native/ops.inc",
            "runtimes/native/edge.h",
            "runtimes/native/ort/layers.c",
            "exporters/ops/global_average_pool.py",
            "exporters/ops/__init__.py",
        },
    ),
    "a data type": (
        r"float16",
        ("runtimes", "exporters/weights"),
        ("runtimes/native/common", "runtimes/native/sparse_conv", "exporters/weights"),
        {
            "runtimes/native/dtypes.inc",
            "runtimes/native/kernels.inc",
            "runtimes/native/common",
            "runtimes/native/sparse_conv",
            "exporters/weights",
        },
    ),
    "an operating system": (
        r"android|\blinux\b|__linux__",
        ("runtimes",),
        ("runtimes/native/cpu",),
        {"runtimes/platforms.py", "runtimes/native/cpu"},
    ),
    "a device": (
        r"ssh_device|\bssh\.KIND|devices import .*\bssh\b",
        ("device_bench", "chita_edge"),
        (),
        {"device_bench/devices/ssh.py", "device_bench/devices/__init__.py"},
    ),
    "a solver": (
        r"\bWoodFisherFull\b|solvers\.woodfisher_full\b",
        ("chita_edge", "tests/chita_edge/pruning/solvers"),
        (),
        {"chita_edge/pruning/solvers/woodfisher_full.py", "tests/chita_edge/pruning/solvers/test_woodfisher_full.py"},
    ),
}


def places(pattern: str, roots: tuple[str, ...], folders: tuple[str, ...]) -> set[str]:
    """The files and folders whose sources name what the pattern matches."""
    found = set()
    for root in roots:
        for path in (ROOT / root).rglob("*"):
            if path.suffix not in (".py", ".c", ".h", ".inc"):
                continue
            name = path.relative_to(ROOT).as_posix()
            if INT8.search(name):
                continue
            if re.search(pattern, COMMENT.sub("", path.read_text(encoding="utf-8"))):
                found.add(next((folder for folder in folders if name.startswith(f"{folder}/")), name))
    return found - OPTIONAL


@pytest.mark.parametrize("what", PLACES)
def test_what_is_added_is_added_in_as_many_places_as_the_page_says(what: str) -> None:
    pattern, roots, folders, expected = PLACES[what]
    assert places(pattern, roots, folders) == expected
    counted = PAGE.read_text(encoding="utf-8").partition("| to add | places | which |")[2]
    row = next(line for line in counted.splitlines() if line.startswith(f"| {what} |"))
    assert row.split("|")[2].strip() == str(len(expected))
    for place in expected:
        told = (
            row.replace("`op`", "global_average_pool").replace("`kind`", "ssh").replace("`solver`", "woodfisher_full")
        )
        assert Path(place).name.removesuffix(".py") in told, place
