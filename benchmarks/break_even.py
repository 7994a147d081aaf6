"""What layers cost dense and sparse: makes the tables of runtimes/cost_tables, from which a network's layout is chosen.

    python benchmarks/break_even.py x86_64 [--json runtimes/cost_tables/x86_64.json]
    python benchmarks/break_even.py arm64 [--json runtimes/cost_tables/arm64.json]
    python benchmarks/break_even.py x86_64 --blocks runtimes/cost_tables/x86_64.json

x86_64: every layer of five networks, inside the network, by ONNX Runtime's own profile; the dense network and the
sparse one at each density in turns, median microseconds of one thread. arm64: instructions counted under emulation, an
estimate (benchmarks/count_layers.py). --blocks adds to a table what the op in blocks of 2 and 4 output channels costs
for each unit of CSR with as many non-zeros, layer by layer in turns (benchmarks/block_shares.py).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from block_shares import with_blocks
from cost_grids import write as write_grids
from count_layers import COUNTED_CPU, COUNTED_DENSITIES, count_all, counted_reorder
from networks import NETWORKS
from profile_layers import LayerTimes, layer_times, reorder_cost

import exporters
import runtimes
from runtimes.costs import CostPoint, LayerCostKey, Op, load_table

DENSITIES = (0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)


def shape_of(info: exporters.SparsifyCandidate) -> LayerCostKey:
    op: Op = "CsrConv" if info.op == "CsrConvAdd" else info.op  # type: ignore[assignment]
    return LayerCostKey(op, info.out_channels, info.in_channels, info.kernel, info.stride, info.out_pixels)


def timed_points(bursts: int, isa: str | None) -> list[CostPoint]:
    """The distinct layers of all networks; of those that are alike, the median."""
    alike: dict[LayerCostKey, list[LayerTimes]] = {}
    for name in NETWORKS:
        for times in layer_times(name, DENSITIES, bursts, isa):
            if times.info.op == "CsrGemm":
                continue  # benchmarks/cost_grids.py measures linear layers
            alike.setdefault(shape_of(times.info), []).append(times)
        print(f"{name}: {len(alike)} distinct layers so far", flush=True)
    points = []
    for layer, found in alike.items():
        ours = np.median([times.ours for times in found], axis=0)
        densities = DENSITIES
        if not layer.op.startswith("Csr"):
            ours, densities = np.median(ours, keepdims=True), (1.0,)
        dense = float(np.median([times.dense for times in found]))
        points.append(CostPoint(layer, round(dense, 2), densities, tuple(round(float(one), 2) for one in ours)))
    return points


def row_of(point: CostPoint) -> dict[str, Any]:
    layer = point.layer
    return {
        "op": layer.op,
        "out_channels": layer.out_channels,
        "in_channels": layer.in_channels,
        "kernel": list(layer.kernel),
        "stride": list(layer.stride),
        "out_pixels": layer.out_pixels,
        "dense": point.dense,
        "ours": list(point.ours),
        **({"blocks": {str(rows): list(shares) for rows, shares in point.blocks.items()}} if point.blocks else {}),
    }


def write_table(path: Path, head: dict[str, Any], points: list[CostPoint]) -> None:
    """One line a point, so that a new table can be read as a difference."""
    ordered = sorted(
        points,
        key=lambda point: (point.layer.op, point.layer.kernel, point.layer.in_channels, point.layer.out_channels),
    )
    rows = ",\n".join("    " + json.dumps(row_of(one)) for one in ordered)
    grids = json.loads(path.read_text(encoding="utf-8")).get("grids", {}) if path.exists() else {}
    path.write_text(f'{json.dumps(head, indent=2)[:-2]},\n  "points": [\n{rows}\n  ]\n}}\n', encoding="utf-8")
    if grids:
        write_grids(path, grids)
    load_table.cache_clear()


def show(points: list[CostPoint], densities: tuple[float, ...], unit: str) -> None:
    print(f"{'op':14} {'in':>5} {'out':>5} {'k':>2} {'s':>2} {'pixels':>6} {'dense':>12}   ours at {densities}; {unit}")
    for point in points:
        layer = point.layer
        shape = f"{layer.in_channels:5} {layer.out_channels:5} {layer.kernel[0]:2} {layer.stride[0]:2}"
        figures = " ".join(f"{one:g}" for one in point.ours)
        print(f"{layer.op:14} {shape} {layer.out_pixels:6} {point.dense:12.1f}   {figures}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=sorted(runtimes.TARGETS))
    parser.add_argument("--json", type=Path, help="write the table here")
    parser.add_argument("--blocks", type=Path, metavar="TABLE", help="add what blocks cost beside CSR to this table")
    parser.add_argument("--bursts", type=int, default=12, help="of 4 runs of each model (x86_64)")
    parser.add_argument("--isa", choices=runtimes.isas(), help="hides better ones (x86_64)")
    arguments = parser.parse_args()
    timed = arguments.target == "x86_64"
    if arguments.blocks:
        table = json.loads(arguments.blocks.read_text(encoding="utf-8"))
        del table["points"]
        table.pop("grids", None)
        found = load_table(arguments.target).points
        write_table(arguments.blocks, table, with_blocks(found, timed, arguments.isa))
        return 0
    if timed:
        densities, unit, isa = DENSITIES, "µs", arguments.isa or runtimes.host_isa()
        points, reorder = timed_points(arguments.bursts, arguments.isa), reorder_cost(arguments.isa)
        what = "median microseconds inside whole networks, one thread"
    else:
        densities, unit, isa = COUNTED_DENSITIES, "instructions", "neon"
        points, reorder = count_all(), counted_reorder()
        what = f"instructions counted on an emulated {COUNTED_CPU}"
    show(points, densities, unit)
    head = {
        "schema_version": 2,
        "what": what,
        "unit": unit,
        "isa": isa,
        "onnxruntime": ort.__version__,
        "reorder": float(f"{reorder:.3g}"),
        "densities": list(densities),
    }
    print(f"a reordered float costs {head['reorder']:g} {unit}")
    if arguments.json:
        write_table(arguments.json, head, points)
    return 0


if __name__ == "__main__":
    sys.exit(main())
