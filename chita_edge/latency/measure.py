"""Measurement of a bundle's models; the raw samples are kept whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import device_bench
from chita_edge.bundle import Manifest, verify_bundle
from chita_edge.errors import ChitaEdgeError
from chita_edge.progress import Progress, silent
from device_bench.bundle_models import models_in


class BundleReplacedError(ChitaEdgeError):
    """A bundle was replaced while it was measured: the samples may be of either."""


def measure_bundle(
    bundle: Path,
    plan: device_bench.BenchPlan,
    *,
    device: str = "local",
    out: Path | None = None,
    progress: Progress = silent,
    phase: str = "latency",
) -> device_bench.Measurement:
    """Measure the models of a verified bundle on `device`; with `out`, keep the raw samples there.

    What was measured before a device failed is kept as well. Raises BundleTamperedError, BundleReplacedError and what
    device_bench raises.
    """
    before = verify_bundle(bundle)
    keep = None if out is None else lambda partial: partial.save(out)
    measurement = measure_models(models_in(bundle), plan, device, progress, phase, keep=keep)
    check_unreplaced(bundle, before)
    if out is not None:
        measurement.save(out)
    return measurement


def check_unreplaced(bundle: Path, before: Manifest) -> None:
    """Raise BundleReplacedError if a bundle's product is another one than when it was verified."""
    if verify_bundle(bundle).files != before.files:
        raise BundleReplacedError(f"The bundle {bundle} was replaced while it was measured; measure it again.")


def measure_models(
    models: Mapping[str, device_bench.ModelUnderTest],
    plan: device_bench.BenchPlan,
    device: str,
    progress: Progress,
    phase: str = "latency",
    keep: Callable[[device_bench.Measurement], object] | None = None,
) -> device_bench.Measurement:
    """Measure models in turns; `progress` is told samples of `plan.samples`.

    `keep` gets what had been measured if the device fails.
    """
    return device_bench.measure(
        models,
        device=device,
        plan=plan,
        progress=lambda share: progress(phase, round(share * plan.samples), plan.samples),
        keep=keep,
    )
