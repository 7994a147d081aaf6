"""The page about a bundle: what its manifest says and what was measured, now and before."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from chita_edge.bundle import add_measurements, verify_bundle
from chita_edge.layer_times import Aliases, layer_times, node_layers
from chita_edge.report.html_report import ReportRun, render_report
from device_bench import Measurement, Results, load
from device_bench.results import NANOSECONDS
from device_bench.subjects import DENSE_FILE

REPORT = "report.html"
_NO_TIME = {
    "instructions": "counted instructions, not a time",
    "estimate": "an estimate from an instruction mix, not a measurement",
}


def report_run(label: str, results: Results, layers: Collection[str] = (), aliases: Aliases | None = None) -> ReportRun:
    """One measurement as the report shows it; `layers` and `aliases` are for `chita_edge.layer_times`."""
    measurement, context = Measurement(results), results.context
    measured = results.kind == "measured"
    scale = {benchmark.name: NANOSECONDS.get(benchmark.time_unit, 1e6) / 1e6 for benchmark in results.benchmarks}
    speedup = None
    if {"dense", "sparse"} <= set(results.names):
        ratio = measurement.ratio("dense", "sparse")
        speedup = (ratio.estimate, ratio.low, ratio.high)
    threads = f"{context.threads} thread{'s' if context.threads != 1 else ''}" if context.threads else None
    known = (context.cpu, context.isa, threads, _NO_TIME.get(results.kind))
    return ReportRun(
        label=label,
        device=context.device or "unknown device",
        date=context.date or "",
        description=", ".join(part for part in known if part),
        samples={entry.name: [sample * scale[entry.name] for sample in entry.samples] for entry in results.benchmarks},
        unit="ms" if measured else results.benchmarks[0].time_unit,
        speedup=speedup,
        warnings=measurement.warnings if measured else (),
        layer_ms=layer_times(results, layers, aliases or {}),
    )


def report_page(manifest: Mapping[str, object], runs: Mapping[str, Results], dense: Path) -> str:
    """The page for a manifest's content and results by label, newest first by their date.

    `dense` is the dense file, in which the nodes of a profile are looked up.
    """
    aliases = node_layers(dense) if any(entry.profile for run in runs.values() for entry in run.benchmarks) else {}
    layers = manifest.get("layers")
    named = [layer for layer in layers if isinstance(layer, Mapping)] if isinstance(layers, list | tuple) else []
    names = {str(layer.get("name")) for layer in named}
    newest_first = sorted(runs.items(), key=lambda entry: entry[1].context.date or "", reverse=True)
    return render_report(manifest, [report_run(label, run, names, aliases) for label, run in newest_first])


def write_report(folder: Path, runs: Sequence[Path] = ()) -> Path:
    """Take results files into a verified bundle's history and write its report anew; returns the report's path.

    A file keeps its name in ``bench/``, and one of the same name is replaced. Raises what verifying, reading and
    writing raise; the bundle then stays as it was.
    """
    manifest = verify_bundle(folder)
    taken = {f"bench/{path.name}": load(path) for path in runs}
    kept = {f"bench/{path.name}": load(path) for path in history(folder)}
    runs_by_label = {Path(name).stem: results for name, results in {**kept, **taken}.items()}
    page = report_page(manifest.content, runs_by_label, folder / DENSE_FILE)
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
