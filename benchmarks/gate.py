"""How often the latency gate errs on simulated noise: `python benchmarks/gate.py`.

Two tables. For each kind of noise and each allowed regression: false alarms without any change, how many unchanged runs
are called fine, and how many slowdowns are found. A slowdown is found when the first and the automatic second run agree
on it. Then, for noise that one run hardly shows: false alarms with and without a second run, slowdowns called ok, and
whether what a verdict says "would be found" is found.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import track
from rich.table import Table

from device_bench.judging.compare import parse_share
from device_bench.judging.simulation import KINDS, SLOW, Record, outcomes, record

# (allowed regression, slowdown): no change at all, then what is to be found.
COLUMNS = ((0.02, 0.0), (0.05, 0.0), (0.02, 0.05), (0.05, 0.05), (0.05, 0.08))
SLOWDOWNS = (0.0, 0.05)
Shares = list[dict[str, object]]
T = TypeVar("T")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--noise", action="append", choices=list(KINDS), help="this kind only; may be repeated")
    parser.add_argument(
        "--allowed", action="append", type=parse_share, help="this allowed regression, such as 2.5%%; may be repeated"
    )
    parser.add_argument("--table", choices=("outcomes", "slow"), help="this table only")
    parser.add_argument("--json", type=Path, help="file for the shares of all outcomes")
    options = parser.parse_args()
    columns = [(band, slowdown) for band in options.allowed for slowdown in SLOWDOWNS] if options.allowed else COLUMNS
    allowed = options.allowed[0] if options.allowed else 0.02
    kinds = options.noise or list(KINDS)
    plain = [kind for kind in kinds if kind not in SLOW] if options.table != "slow" else []
    slow = [kind for kind in kinds if kind in SLOW] if options.table != "outcomes" else []
    with ProcessPoolExecutor() as pool:
        size = {"samples": options.samples, "trials": options.trials}
        shares = dict(watched(plain, pool.map(partial(of_columns, columns=columns, **size), plain)))
        records = dict(watched(slow, pool.map(partial(of_record, allowed=allowed, **size), slow)))
    console = Console(width=160)
    title = f"{options.trials} comparisons each, {options.samples} samples a process, 2 % noise unless it says alone"
    if shares:
        console.print(outcome_table(title, columns, shares))
    if records:
        console.print(record_table(f"{title}, {allowed:.1%} allowed", records))
    if options.json:
        document = {
            "trials": options.trials,
            "samples": options.samples,
            "kinds": shares,
            "slow": {kind: asdict(found) for kind, found in records.items()},
        }
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def of_columns(kind: str, columns: Iterable[tuple[float, float]], samples: int, trials: int) -> Shares:
    found = []
    for band, slowdown in columns:
        shares = outcomes(KINDS[kind], slowdown, max_regression=band, samples=samples, trials=trials)
        found.append({"max_regression": band, "slowdown": slowdown, **shares})
    return found


def of_record(kind: str, allowed: float, samples: int, trials: int) -> Record:
    return record(KINDS[kind], max_regression=allowed, samples=samples, trials=trials)


def watched(kinds: list[str], found: Iterable[T]) -> Iterator[tuple[str, T]]:
    console = Console(stderr=True)
    return zip(kinds, track(found, "kinds of noise", total=len(kinds), console=console), strict=True)


def outcome_table(title: str, columns: Iterable[tuple[float, float]], shares: dict[str, Shares]) -> Table:
    table = Table(title=title)
    table.add_column("noise")
    for band, slowdown in columns:
        asked = f"slower by {slowdown:.0%}: found" if slowdown else "unchanged: false alarms / fine"
        table.add_column(f"{band:.1%} allowed, {asked}", justify="right")
    for kind, found in shares.items():
        cells = []
        for entry in found:
            alarms = f"{entry['regression']:.1%}"
            cells.append(alarms if entry["slowdown"] else f"{alarms} / {entry['ok']:.1%}")
        table.add_row(kind, *cells)
    return table


def record_table(title: str, records: dict[str, Record]) -> Table:
    table = Table(title=title)
    table.add_column("noise")
    for name in (
        "unchanged: false alarms / fine",
        "without a second run: false alarms",
        "slower by 5 %: called ok / found",
        "would be found: median",
        "... said in",
        "... and found in",
    ):
        table.add_column(name, justify="right")
    for kind, found in records.items():
        table.add_row(
            kind,
            f"{found.unchanged['regression']:.1%} / {found.unchanged['ok']:.1%}",
            f"{found.halves:.1%}",
            f"{found.slower['ok']:.1%} / {found.slower['regression']:.1%}",
            f"{found.detectable:.1%}",
            f"{found.promised:.0%}",
            f"{found.kept:.1%}",
        )
    return table


if __name__ == "__main__":
    main()
