"""Latency gate: measure a bundle, compare it with a baseline, measure again before calling it slower."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from chita_edge.errors import UsageError
from chita_edge.latency.measure import measure_bundle
from chita_edge.progress import Progress, silent
from device_bench import BenchPlan, Measurement, Results, load
from device_bench.bundle_models import CONTROL
from device_bench.judging.compare import DEFAULT_BAND, compare, parse_share
from device_bench.judging.gate import Gated, against, measure_and_compare
from device_bench.judging.verdict import Verdict

_SECOND_RUN = "latency, second run"


def bench_against(
    bundle: Path,
    baseline: Path,
    plan: BenchPlan,
    *,
    device: str = "local",
    max_regression: float | str = DEFAULT_BAND,
    control: str | None = CONTROL,
    out: Path | None = None,
    progress: Progress = silent,
) -> Gated:
    """Measure `bundle` and compare it with the results file `baseline`; a second run confirms or refutes a regression.

    `out` keeps the samples of the first run, and `second_run(out)` those of the second if there was one. Everything
    that can be wrong with the baseline is found before anything is measured. Raises ResultsError, PlanError,
    BundleTamperedError and what the device raises.
    """
    base = load(baseline)
    allowed = parse_share(max_regression)

    def measure(run: int) -> Measurement:
        seeded = replace(plan, seed=plan.seed + run)
        place = second_run(out) if run and out else out
        phase = _SECOND_RUN if run else "latency"
        return measure_bundle(bundle, seeded, device=device, out=place, progress=progress, phase=phase)

    return measure_and_compare(measure, against(base), max_regression=allowed, control=control)


def compare_files(
    base: Path,
    new: Path,
    *,
    max_regression: float | str = DEFAULT_BAND,
    paired: bool = False,
    control: str | None = CONTROL,
    second: Path | None = None,
    rerun: Path | None = None,
    device: str | None = None,
    progress: Progress = silent,
) -> Verdict:
    """Compare two results files; the second run is the results file `second`, or measured from the bundle `rerun`.

    The bundle is measured on `device` (by default this machine) with the threads and the number of samples of `new`,
    and must hold the very models that `new` was measured on. Raises UsageError if both or a wrong bundle are given,
    else what reading and measuring raise.
    """
    if second is not None and rerun is not None:
        raise UsageError(
            "The second run is either a file or measured from a bundle; give --again or --rerun, not both."
        )
    if paired and (second is not None or rerun is not None):
        raise UsageError("A second run of one side has no pairs; compare pairs without --again and --rerun.")
    allowed = parse_share(max_regression)
    sides = load(base), load(new)
    again = None
    if second is not None:
        confirmation = load(second)
        again = lambda: confirmation  # noqa: E731
    elif rerun is not None:
        bundle = rerun
        again = lambda: _measured_again(bundle, sides[1], device, progress)  # noqa: E731
    return compare(*sides, max_regression=allowed, paired=paired, again=again, control=control)


def second_run(out: Path) -> Path:
    """Path for the samples of a second run: `run.json` → `run.second.json`."""
    return out.with_suffix(".second.json")


def _measured_again(bundle: Path, new: Results, device: str | None, progress: Progress) -> Results:
    plan = BenchPlan(
        threads=new.context.threads or 1,
        samples=max(len(benchmark.samples) for benchmark in new.benchmarks),
        seed=(new.context.seed or 0) + 1,
    )
    results = measure_bundle(bundle, plan, device=device or "local", progress=progress, phase=_SECOND_RUN).results
    for name in new.names:
        here, there = results.context.sha256.get(name), new.context.sha256.get(name)
        if here and there and here != there:
            raise UsageError(f"{bundle} holds another {name!r} than the new results were measured on.")
    return results
