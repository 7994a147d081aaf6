"""Do this process and the native runner measure the same? Both measure the same models here, in turns.

    python benchmarks/runner_agreement.py BUNDLE [--rounds 6] [--json FILE]

Each round measures with both, in alternating order. The ratio of their medians is held beside the ratio of two runs of
the same path, which is what noise alone gives.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import tempfile
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
    found: dict[str, dict[str, list[float]]] = {name: {"python": [], "runner": []} for name in models}
    with tempfile.TemporaryDirectory(prefix="chita-edge-") as folder:
        here = Transport("this machine", ("sh", "-c"), f"{folder}/device", lambda code, _: code == 255)
        for turn in range(options.rounds):
            for path in ("python", "runner") if turn % 2 == 0 else ("runner", "python"):
                result = (
                    device_bench.measure(models, plan=plan)
                    if path == "python"
                    else measure_remotely(here, models, plan)
                )
                for name in models:
                    found[name][path].append(result.summary(name).p50)
    report = {name: compared(paths) for name, paths in found.items()}
    print(f"{'model':10} {'python ms':>10} {'runner ms':>10} {'runner/python':>14}   noise of one path")
    for name, row in report.items():
        figures = f"{row['python_ms']:10.3f} {row['runner_ms']:10.3f} {row['ratio']:14.3f}"
        print(f"{name:10} {figures}   {row['noise'][0]:.3f} to {row['noise'][1]:.3f}")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        document = {"rounds": options.rounds, "models": report, "p50_ms": found}
        options.json.write_text(json.dumps(document, indent=2) + "\n")


def compared(paths: dict[str, list[float]]) -> dict[str, Any]:
    """Medians of the rounds' medians, their ratio, and the smallest and largest ratio of two rounds of one path."""
    python, runner = (statistics.median(paths[path]) for path in ("python", "runner"))
    same = [a / b for path in paths.values() for a, b in itertools.permutations(path, 2)]
    ratio = statistics.median(b / a for a, b in zip(paths["python"], paths["runner"], strict=True))
    return {"python_ms": python, "runner_ms": runner, "ratio": ratio, "noise": [min(same), max(same)]}


if __name__ == "__main__":
    main()
