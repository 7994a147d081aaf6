"""The page about a bundle: what its manifest says and what was measured, now and before."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from chita_edge.bundle import add_measurements, verify_bundle
from chita_edge.report.html_report import ReportRun, render_report
from device_bench import Measurement, Results, load
from device_bench.results import NANOSECONDS

REPORT = "report.html"


def report_run(label: str, results: Results) -> ReportRun:
    """One measurement as the report shows it."""
    measurement, context = Measurement(results), results.context
    counted = any(benchmark.time_unit not in NANOSECONDS for benchmark in results.benchmarks)
    scale = {benchmark.name: NANOSECONDS.get(benchmark.time_unit, 1e6) / 1e6 for benchmark in results.benchmarks}
    speedup = None
    if {"dense", "sparse"} <= set(results.names):
        ratio = measurement.ratio("dense", "sparse")
        speedup = (ratio.estimate, ratio.low, ratio.high)
    threads = f"{context.threads} thread{'s' if context.threads != 1 else ''}" if context.threads else None
    known = (context.cpu, context.isa, threads, None if results.kind == "measured" else results.kind)
    return ReportRun(
        label=label,
        device=context.device or "unknown device",
        date=context.date or "",
        description=", ".join(part for part in known if part),
        samples={entry.name: [sample * scale[entry.name] for sample in entry.samples] for entry in results.benchmarks},
        unit="instructions" if counted else "ms",
        speedup=speedup,
        warnings=() if counted else measurement.warnings,
    )


def report_page(manifest: Mapping[str, object], runs: Mapping[str, Results]) -> str:
    """The page for a manifest's content and results by label, newest first by their date."""
    newest_first = sorted(runs.items(), key=lambda entry: entry[1].context.date or "", reverse=True)
    return render_report(manifest, [report_run(label, results) for label, results in newest_first])


def write_report(folder: Path, runs: Sequence[Path] = ()) -> Path:
    """Take results files into a verified bundle's history and write its report anew; returns the report's path.

    A file keeps its name in ``bench/``, and one of the same name is replaced. Raises what verifying, reading and
    writing raise; the bundle then stays as it was.
    """
    manifest = verify_bundle(folder)
    taken = {f"bench/{path.name}": load(path) for path in runs}
    kept = {f"bench/{path.name}": load(path) for path in history(folder)}
    page = report_page(manifest.content, {Path(name).stem: results for name, results in {**kept, **taken}.items()})
    added = {name: results.to_json().encode() for name, results in taken.items()}
    add_measurements(folder, {**added, REPORT: page.encode()})
    return folder / REPORT


def history(folder: Path) -> list[Path]:
    """The results files that the bundle lists (it was verified: there are no others)."""
    index = folder / "bench" / "index.json"
    if not index.is_file():
        return []
    listed = json.loads(index.read_text(encoding="utf-8"))["files"]
    return [folder / name for name in sorted(listed) if name.startswith("bench/") and name.endswith(".json")]
