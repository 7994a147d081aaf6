"""Comparison of two builds of one network in turns on one device, so that drift and heat meet both alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import device_bench
from chita_edge.bundle import verify_bundle
from chita_edge.latency.gate import second_run
from chita_edge.latency.measure import check_unreplaced
from chita_edge.progress import Progress, silent
from device_bench import BenchPlan, Measurement, ModelUnderTest, Results
from device_bench.bundle_models import SPARSE_FILE
from device_bench.judging.compare import DEFAULT_BAND, parse_share
from device_bench.judging.gate import measure_and_compare
from device_bench.judging.verdict import Verdict


def bench_side_by_side(
    base: Path,
    new: Path,
    plan: BenchPlan,
    *,
    device: str = "local",
    max_regression: float | str = DEFAULT_BAND,
    out: Path | None = None,
    progress: Progress = silent,
) -> Verdict:
    """Compare the sparse models of the bundles `base` and `new`, sample by sample in one process.

    If it seems so, both are measured again and have to agree. `out` keeps the samples, named base and new, and
    `second_run(out)` those of the second run. Raises BundleTamperedError, BundleReplacedError, PlanError and what
    the device raises.
    """
    allowed = parse_share(max_regression)
    before = {bundle: verify_bundle(bundle) for bundle in (base, new)}
    models = {
        name: ModelUnderTest(bundle / SPARSE_FILE, sparse=True) for name, bundle in (("base", base), ("new", new))
    }

    def measure(run: int) -> Measurement:
        phase = "latency, second run" if run else "latency"
        place = second_run(out) if run and out else out
        tell: Callable[[float], None] = lambda share: progress(phase, round(share * plan.samples), plan.samples)  # noqa: E731
        seeded = replace(plan, seed=plan.seed + run)
        keep = None if place is None else lambda partial: partial.save(place)
        measurement = device_bench.measure(models, device=device, plan=seeded, progress=tell, keep=keep)
        for bundle, manifest in before.items():
            check_unreplaced(bundle, manifest)
        if place is not None:
            measurement.save(place)
        return measurement

    def sides(results: Results) -> tuple[Results, Results]:
        return _side(results, "base"), _side(results, "new")

    return measure_and_compare(measure, sides, max_regression=allowed, paired=True).verdict


def _side(results: Results, name: str) -> Results:
    """Samples of one of the two bundles, under their common name."""
    return Results(context=results.context, benchmarks=(results.benchmark(name).model_copy(update={"name": "sparse"}),))
