"""Do this process and the native runner measure the same? Both measure the same models here, in turns.

    python benchmarks/runner_agreement.py BUNDLE [--rounds 24] [--samples 60] [--json FILE]
    python benchmarks/runner_agreement.py --network mobilenet_v1

Each round measures with both, in alternating order; a network has random weights and 80 % random zeros. Printed is the
median over the rounds of runner / Python, with its bootstrap interval, and beside it what noise alone does: how far two
consecutive rounds of the same path are apart, in the median. The last column is the difference in microseconds.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

import device_bench
from device_bench import BenchPlan, ModelUnderTest
from device_bench.bundle_models import models_in
from device_bench.judging.stats import median_ratio
from device_bench.remote import Transport, measure_remotely

SPARSITY = 0.8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("bundle", type=Path, nargs="?")
    what.add_argument("--network", help="one of benchmarks/networks.py instead of a bundle")
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--samples", type=int, default=60)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chita-edge-") as folder:
        models = written(options.network, Path(folder)) if options.network else models_in(options.bundle)
        found = measured(models, BenchPlan(samples=options.samples), options.rounds, Path(folder, "device"))
    report = {name: compared(paths["python"], paths["runner"]) for name, paths in found.items()}
    table = Table(title=f"{options.rounds} rounds of {options.samples} samples")
    for heading in ("figure", "python", "runner", "runner / python", "interval", "noise of one path", "difference"):
        table.add_column(heading, justify="left" if heading == "figure" else "right")
    for name, row in report.items():
        columns = [f"{row[key]:.3f}" for key in ("python", "runner", "ratio")]
        interval = f"{row['interval'][0]:.3f} to {row['interval'][1]:.3f}"
        apart = f"{1000 * row['difference']:+.0f} us" if name.endswith("ms") else ""
        table.add_row(name, *columns, interval, f"{row['noise']:.1%}", apart)
    Console(width=120).print(table)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        document = {"rounds": options.rounds, "samples": options.samples, "figures": report, "values": found}
        options.json.write_text(json.dumps(document, indent=2) + "\n")


def written(network: str, folder: Path) -> dict[str, ModelUnderTest]:
    """The network, dense and sparse, as files in ``folder``."""
    from networks import dense_network

    import exporters
    import runtimes
    from chita_edge.deploy.decide import decide_for

    dense = dense_network(network, SPARSITY)
    sparse = exporters.to_sparse(dense, decide_for(runtimes.get_target("x86_64"), dense)).model
    models = {}
    for name, model in (("dense", dense), ("sparse", sparse)):
        path = folder / f"{name}.onnx"
        path.write_bytes(exporters.to_bytes(model))
        models[name] = ModelUnderTest(path, sparse=name == "sparse")
    return models


def measured(
    models: dict[str, ModelUnderTest], plan: BenchPlan, rounds: int, folder: Path
) -> dict[str, dict[str, list[float]]]:
    """Figure → path → its value in each round."""
    here = Transport("this machine", ("sh", "-c"), str(folder), lambda code, _: code == 255)
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: {"python": [], "runner": []})
    for turn in track(range(rounds), "rounds", console=Console(stderr=True)):
        for path in ("python", "runner") if turn % 2 == 0 else ("runner", "python"):
            result = (
                device_bench.measure(models, plan=plan) if path == "python" else measure_remotely(here, models, plan)
            )
            for figure, value in figures_of(result).items():
                found[figure][path].append(value)
    return found


def figures_of(result: device_bench.Measurement) -> dict[str, float]:
    """The median of every model in ms, and the speedup if there is one."""
    found = {f"{name} p50 ms": result.summary(name).p50 for name in result.results.names}
    if {"dense", "sparse"} <= set(result.results.names):
        found["speedup"] = result.ratio("dense", "sparse").estimate
    return found


def compared(python: list[float], runner: list[float]) -> dict[str, Any]:
    """Medians over the rounds; the median ratio of a round with its interval; and the noise of one path."""
    a, b = np.asarray(python), np.asarray(runner)
    ratio = median_ratio(b, a, paired=True)
    steps = np.abs(np.concatenate([np.diff(np.log(a)), np.diff(np.log(b))]))
    return {
        "python": float(np.median(a)),
        "runner": float(np.median(b)),
        "ratio": ratio.estimate,
        "interval": [ratio.low, ratio.high],
        "noise": float(np.expm1(np.median(steps))) if steps.size else 0.0,
        "difference": float(np.median(b - a)),
    }


if __name__ == "__main__":
    main()
