"""Latency figures of a measurement: medians, percentiles and the speedup."""

from __future__ import annotations

from chita_edge.deploy.result import DenseSparse, Latency
from device_bench import Measurement
from device_bench.results import NANOSECONDS


def summarise(measurement: Measurement) -> Latency:
    """The figures of a measurement of the models called dense and sparse."""
    dense, sparse = measurement.summary("dense"), measurement.summary("sparse")
    ratio = measurement.ratio("dense", "sparse")
    context = measurement.results.context
    unit = measurement.results.benchmark("dense").time_unit
    return Latency(
        device=context.device or "unknown",
        description=", ".join(part for part in (context.cpu, context.isa) if part),
        threads=context.threads or 1,
        samples=min(dense.samples, sparse.samples),
        p50=DenseSparse(dense.p50, sparse.p50),
        p90=DenseSparse(dense.p90, sparse.p90),
        min=DenseSparse(dense.min, sparse.min),
        speedup=ratio.estimate,
        speedup_interval=(ratio.low, ratio.high),
        warnings=measurement.warnings,
        unit="ms" if unit in NANOSECONDS else unit,
    )
