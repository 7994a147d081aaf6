from __future__ import annotations

from pathlib import Path

import pytest

from chita_edge.bundle import write_bundle

FILES = {
    "model.onnx": b"sparse" * 100,
    "lib/linux/aarch64/libchita_edge.so": b"\x7fELF" + bytes(50),
    "CARD.md": b"# card\n",
}
CONTENT = {"model": "mobilenet", "accuracy": {"dense": 0.934, "sparse": 0.93}, "layers": [{"name": "a", "nnz": 3}]}
MEASURED = {"bench/local.json": b'{"benchmarks": []}\n', "report.html": b"<p>4 ms</p>"}


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "out" / "bundle", FILES, CONTENT, measurements=MEASURED)
