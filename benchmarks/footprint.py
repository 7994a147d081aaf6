"""What a session costs before it runs: time to make it and resident memory, sparse beside ONNX Runtime's dense float32.

    python benchmarks/footprint.py [--network mobilenet_v1] [--sparsity 0.8] [--json FILE]

Every layer sparse. Times: sessions made in turns from files, median. Memory: growth of a new process's resident memory
from before the session is made until after its second run, least of three processes, which do not check the file first.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from networks import NETWORKS, dense_network, input_shape
from profile_layers import all_sparse
from rich.console import Console
from rich.table import Table

import exporters
import runtimes

ROUNDS = 7
_RESIDENT = """
import resource, sys
import numpy as np, runtimes

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

x = np.zeros([int(size) for size in sys.argv[3].split(",")], np.float32)
before = resident()
session = (runtimes.session if sys.argv[1] == "sparse" else runtimes.dense_session)(sys.argv[2], trusted=True)
for _ in range(2):
    session.run(None, {"input": x})
print(resident() - before)
"""


def resident_bytes(kind: str, path: Path, shape: tuple[int, ...]) -> int:
    command = [sys.executable, "-c", _RESIDENT, kind, str(path), ",".join(map(str, shape))]
    return min(int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) for _ in range(3))


def measure(name: str, sparsity: float) -> dict[str, Any]:
    dense = dense_network(name, sparsity)
    models = {"dense": dense, "sparse": exporters.to_sparse(dense, all_sparse, cache_bytes=1 << 20).model}
    make: dict[str, Callable[[Path], object]] = {"dense": runtimes.dense_session, "sparse": runtimes.session}
    times: dict[str, list[float]] = {"dense": [], "sparse": []}
    with tempfile.TemporaryDirectory() as folder:
        paths = {kind: Path(folder) / f"{kind}.onnx" for kind in models}
        for kind, model in models.items():
            exporters.save(model, paths[kind])
        for _ in range(ROUNDS + 1):
            for kind, path in paths.items():
                begin = time.perf_counter()
                make[kind](path)
                times[kind].append((time.perf_counter() - begin) * 1e3)
        memory = {kind: resident_bytes(kind, path, (1, *input_shape(name))) for kind, path in paths.items()}
        sizes = {kind: path.stat().st_size for kind, path in paths.items()}
    creation = {kind: float(np.median(own[1:])) for kind, own in times.items()}
    return {
        "network": name,
        "sparsity": sparsity,
        "create_ms": creation["sparse"],
        "dense_create_ms": creation["dense"],
        "resident_bytes": memory["sparse"],
        "dense_resident_bytes": memory["dense"],
        "file_bytes": sizes["sparse"],
        "dense_file_bytes": sizes["dense"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=sorted(NETWORKS), action="append")
    parser.add_argument("--sparsity", type=float, action="append")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = [measure(name, share) for name in arguments.network or NETWORKS for share in arguments.sparsity or (0.8,)]
    table = Table(
        "network", "sparsity", "create ms", "dense", "times", "resident MB", "dense", "times", "file MB", "dense"
    )
    for row in rows:
        pairs = ((row["create_ms"], row["dense_create_ms"]), (row["resident_bytes"], row["dense_resident_bytes"]))
        (ms, dense_ms), (size, dense_size) = pairs
        cells = [f"{ms:.1f}", f"{dense_ms:.1f}", f"{ms / dense_ms:.2f}"]
        cells += [f"{size / 1e6:.1f}", f"{dense_size / 1e6:.1f}", f"{size / dense_size:.2f}"]
        cells += [f"{row['file_bytes'] / 1e6:.2f}", f"{row['dense_file_bytes'] / 1e6:.2f}"]
        table.add_row(row["network"], f"{row['sparsity']:.0%}", *cells)
    Console(width=120).print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps({"rows": rows}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
