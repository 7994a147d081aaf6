"""Instructions of one inference of a whole network on an emulated Cortex-A76: ours, and ONNX Runtime's with --dense.

    python benchmarks/instructions.py [--network mobilenet_v1] [--sparsity 0.8 --sparsity 0.9] [--dense]
                                      [--values float16 [--arithmetic float16]] [--json FILE]

Random weights and zeros as in runtime.py; the file is the one that ``chita-edge build --target arm64`` would export. A
count says nothing of caches, nor of what a core does at once, and is no time.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from networks import NETWORKS, dense_network, input_shape

import exporters
import runtimes
from chita_edge.deploy.decide import decide_for
from device_bench.emulation import count_instructions, emulator

CPU = "cortex-a76"


def count(model: bytes, x: np.ndarray, *, sparse: bool) -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model)
        return count_instructions(emulator(CPU), path, x, sparse=sparse)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=sorted(NETWORKS), default="mobilenet_v1")
    parser.add_argument("--sparsity", type=float, action="append", help="may be repeated; default: 0.8 and 0.9")
    parser.add_argument("--dense", action="store_true", help="count ONNX Runtime's dense float32 as well")
    parser.add_argument("--values", choices=("float32", "float16"), default="float32")
    parser.add_argument("--arithmetic", choices=("float32", "float16"), default="float32", help="with --values float16")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    target = runtimes.get_target("arm64")
    x = np.random.default_rng(0).standard_normal((1, *input_shape(arguments.network)), np.float32)
    rows: list[dict[str, Any]] = []

    def row(sparsity: float, what: str, instructions: int) -> None:
        rows.append({"network": arguments.network, "sparsity": sparsity, "file": what, "instructions": instructions})
        print(f"{arguments.network} {sparsity:.0%} {what}: {instructions / 1e6:.1f} M", flush=True)

    for sparsity in arguments.sparsity or (0.8, 0.9):
        dense = dense_network(arguments.network, sparsity)
        if arguments.dense:
            row(sparsity, "dense", count(exporters.to_bytes(dense), x, sparse=False))
        formats = arguments.values, arguments.arithmetic, target.cache
        sparse = exporters.to_sparse(dense, decide_for(target, dense), *formats)
        row(
            sparsity,
            f"sparse, {arguments.arithmetic} arithmetic",
            count(exporters.to_bytes(sparse.model), x, sparse=True),
        )
    if arguments.json:
        arguments.json.write_text(json.dumps({"cpu": CPU, "rows": rows}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
