"""How often the latency gate errs on simulated noise: `python benchmarks/gate.py`.

For each kind of noise and each allowed regression: false alarms without any change, how many unchanged runs are called
fine, and how many slowdowns are found. A slowdown is found when the first and the automatic second run agree on it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from device_bench.compare import parse_share
from device_bench.simulation import KINDS, outcomes

# (allowed regression, slowdown): no change at all, then what is to be found.
COLUMNS = ((0.02, 0.0), (0.05, 0.0), (0.02, 0.05), (0.05, 0.05), (0.05, 0.08))
SLOWDOWNS = (0.0, 0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--noise", action="append", choices=list(KINDS), help="this kind only; may be repeated")
    parser.add_argument(
        "--allowed", action="append", type=parse_share, help="this allowed regression, such as 2.5%%; may be repeated"
    )
    parser.add_argument("--json", type=Path, help="file for the shares of all outcomes")
    options = parser.parse_args()
    columns = [(band, slowdown) for band in options.allowed for slowdown in SLOWDOWNS] if options.allowed else COLUMNS

    table = Table(title=f"{options.trials} comparisons each, {options.samples} samples a side, 2 % noise")
    table.add_column("noise")
    for band, slowdown in columns:
        asked = f"slower by {slowdown:.0%}: found" if slowdown else "unchanged: false alarms / fine"
        table.add_column(f"{band:.1%} allowed, {asked}", justify="right")
    shares: dict[str, list[dict[str, object]]] = {}
    for name in track(options.noise or list(KINDS), "kinds of noise", console=Console(stderr=True)):
        cells = []
        for band, slowdown in columns:
            found = outcomes(KINDS[name], slowdown, max_regression=band, samples=options.samples, trials=options.trials)
            shares.setdefault(name, []).append({"max_regression": band, "slowdown": slowdown, **found})
            alarms = f"{found['regression']:.1%}"
            cells.append(alarms if slowdown else f"{alarms} / {found['ok']:.1%}")
        table.add_row(name, *cells)
    Console(width=160).print(table)
    if options.json:
        document = {"trials": options.trials, "samples": options.samples, "kinds": shares}
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
