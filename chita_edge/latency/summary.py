"""Latency figures of a measurement: medians, percentiles and the speedup."""

from __future__ import annotations

from chita_edge.deploy.result import Compared, Latency
from device_bench import Measurement
from device_bench.results import NANOSECONDS


def summarise(measurement: Measurement) -> Latency:
    """The figures of a measurement of the models called dense and sparse, and int8 where it is among them."""
    dense, sparse = measurement.summary("dense"), measurement.summary("sparse")
    int8 = measurement.summary("int8") if "int8" in measurement.results.names else None
    over_int8 = measurement.ratio("int8", "sparse") if int8 else None
    ratio = measurement.ratio("dense", "sparse")
    context = measurement.results.context
    unit = measurement.results.benchmark("dense").time_unit
    return Latency(
        device=context.device or "unknown",
        description=", ".join(part for part in (context.cpu, context.isa) if part),
        threads=context.threads or 1,
        samples=min(dense.samples, sparse.samples),
        p50=Compared(dense.p50, sparse.p50, int8.p50 if int8 else None),
        p90=Compared(dense.p90, sparse.p90, int8.p90 if int8 else None),
        min=Compared(dense.min, sparse.min, int8.min if int8 else None),
        speedup=ratio.estimate,
        speedup_interval=(ratio.low, ratio.high),
        warnings=measurement.warnings,
        unit="ms" if unit in NANOSECONDS else unit,
        over_int8=(over_int8.estimate, over_int8.low, over_int8.high) if over_int8 else None,
    )
