"""``report.html`` of a bundle: the figures of its manifest and of all its runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from chita_edge.bundle import Earlier, FileEntry, Manifest, change_measurements
from chita_edge.bundle.paths import INDEX
from chita_edge.report.html_report import ReportRun, render_report
from chita_edge.report.layer_times import Aliases, layer_times, node_layers
from chita_edge.report.run_names import run_path
from device_bench import Measurement, Results, load
from device_bench.bundle_models import DENSE_FILE
from device_bench.errors import ResultsError
from device_bench.results import NANOSECONDS

REPORT = "report.html"
_NO_TIME = {
    "instructions": "counted instructions, not a time",
    "estimate": "an estimate from an instruction mix, not a measurement",
}


def report_run(label: str, results: Results, layers: Collection[str] = (), aliases: Aliases | None = None) -> ReportRun:
    """One run as the report shows it; `layers` and `aliases` are for `chita_edge.report.layer_times`."""
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


@dataclass
class FirstRun:
    """Measured files of a bundle that was just built, for `chita_edge.bundle.write_bundle`: its first run and its page.

    Where the same product is built again, the runs of the bundle that it replaces are kept.

    Attributes:
        manifest, dense: as of `report_page`.
        results: of the run, which is called ``local``.
        dropped: names of the replaced bundle's runs, if they are of another product and therefore gone.
    """

    manifest: Mapping[str, object]
    dense: Path
    results: Results
    dropped: tuple[str, ...] = ()

    def __call__(self, earlier: Earlier) -> dict[str, bytes | Path]:
        """The files, by path in the bundle."""
        before = {path: file for path, file in earlier.files.items() if _is_run(path)}
        if not earlier.same_product:
            self.dropped = tuple(sorted(map(_label, before)))
            before = {}
        path = run_path("local", [INDEX, *before])
        runs = {path: self.results}
        for name, file in before.items():
            with suppress(ResultsError):  # kept all the same
                runs[name] = load(file)
        page = report_page(self.manifest, {_label(name): run for name, run in runs.items()}, self.dense)
        return {**before, path: self.results.to_json().encode(), REPORT: page.encode()}


@dataclass(frozen=True)
class TakenRun:
    """A results file that was given, the bundle's file that holds its run, and whether that was there before."""

    given: Path
    kept_as: str
    was_there: bool


@dataclass(frozen=True)
class WrittenReport:
    """The page that was written, what became of each file that was given, and the names of all runs of the bundle."""

    page: Path
    taken: tuple[TakenRun, ...]
    runs: tuple[str, ...]


def write_report(folder: Path, runs: Sequence[Path] = ()) -> WrittenReport:
    """Take results files into a verified bundle's history and write its report anew.

    A run keeps its file's name in ``bench/`` where that is free (:func:`chita_edge.report.run_names.run_path`); one
    that is there already, sample for sample, is not taken twice. Raises what verifying, reading and writing raise; the
    bundle then stays as it was.
    """
    given = [(path, load(path)) for path in runs]
    taken: list[TakenRun] = []
    kept: dict[str, Results] = {}

    def change(manifest: Manifest, listed: Mapping[str, FileEntry]) -> dict[str, bytes | Path]:
        kept.update({path: load(folder / path) for path in listed if _is_run(path)})
        added: dict[str, bytes | Path] = {}
        for file, results in given:
            known = next((path for path, run in kept.items() if run == results), None)
            path = known or run_path(file.stem, [INDEX, *manifest.files, *listed, *added])
            if known is None:
                kept[path], added[path] = results, results.to_json().encode()
            taken.append(TakenRun(file, path, known is not None))
        labelled = {_label(path): results for path, results in kept.items()}
        return {**added, REPORT: report_page(manifest.content, labelled, folder / DENSE_FILE).encode()}

    change_measurements(folder, change)
    return WrittenReport(folder / REPORT, tuple(taken), tuple(sorted(map(_label, kept))))


def _is_run(path: str) -> bool:
    return path.startswith("bench/") and path.endswith(".json")


def _label(path: str) -> str:
    """Name of a run as the page has it."""
    return path.removeprefix("bench/").removesuffix(".json")
