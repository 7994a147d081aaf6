"""Latency of a bundle: measuring it, its figures, and gates that hold it against a baseline or another bundle."""

from chita_edge.latency.gate import bench_against, compare_files, second_run
from chita_edge.latency.measure import BundleReplacedError, measure_bundle, measure_models
from chita_edge.latency.side_by_side import bench_side_by_side
from chita_edge.latency.summary import summarise
from device_bench.judging.gate import Gated

__all__ = [
    "BundleReplacedError",
    "Gated",
    "bench_against",
    "bench_side_by_side",
    "compare_files",
    "measure_bundle",
    "measure_models",
    "second_run",
    "summarise",
]
