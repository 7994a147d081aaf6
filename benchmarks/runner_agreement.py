"""Do this process and the native runner measure the same? Both measure the same models here, in turns.

    python benchmarks/runner_agreement.py BUNDLE [--rounds 6] [--json FILE]

Each round measures with both, in alternating order. The ratio of their figures is held beside the ratios of two runs of
the same path, which are what noise alone gives. A difference of some ten microseconds a run is Python's own.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import device_bench
from device_bench import Plan
from device_bench.remote import Transport, measure_remotely
from device_bench.subjects import models_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    models = models_of(options.bundle)
    plan = Plan(samples=options.samples)
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: {"python": [], "runner": []})
    with tempfile.TemporaryDirectory(prefix="chita-edge-") as folder:
        here = Transport("this machine", ("sh", "-c"), f"{folder}/device", lambda code, _: code == 255)
        for turn in range(options.rounds):
            for path in ("python", "runner") if turn % 2 == 0 else ("runner", "python"):
                result = (
                    device_bench.measure(models, plan=plan)
                    if path == "python"
                    else measure_remotely(here, models, plan)
                )
                for figure, value in figures_of(result).items():
                    found[figure][path].append(value)
    report = {name: compared(paths) for name, paths in found.items()}
    print(f"{'figure':14} {'python':>10} {'runner':>10} {'runner/python':>14}   noise of one path")
    for name, row in report.items():
        columns = f"{row['python']:10.3f} {row['runner']:10.3f} {row['ratio']:14.3f}"
        print(f"{name:14} {columns}   {row['noise'][0]:.3f} to {row['noise'][1]:.3f}")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        document = {"rounds": options.rounds, "figures": report, "values": found}
        options.json.write_text(json.dumps(document, indent=2) + "\n")


def figures_of(result: device_bench.Measurement) -> dict[str, float]:
    """Median and minimum of every model in ms, and the speedup if there is one."""
    found = {}
    for name in result.results.names:
        summary = result.summary(name)
        found |= {f"{name} p50 ms": summary.p50, f"{name} min ms": summary.min}
    if {"dense", "sparse"} <= set(result.results.names):
        found["speedup"] = result.ratio("dense", "sparse").estimate
    return found


def compared(paths: dict[str, list[float]]) -> dict[str, Any]:
    """Medians over the rounds, the median ratio, and the smallest and largest ratio of two rounds of one path."""
    python, runner = (statistics.median(paths[path]) for path in ("python", "runner"))
    same = [a / b for path in paths.values() for a, b in itertools.permutations(path, 2)]
    ratio = statistics.median(b / a for a, b in zip(paths["python"], paths["runner"], strict=True))
    return {"python": python, "runner": runner, "ratio": ratio, "noise": [min(same), max(same)]}


if __name__ == "__main__":
    main()
