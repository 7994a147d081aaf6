"""A finished measurement: its results, and the figures that people ask of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from device_bench.judging.health import examine, examine_machine
from device_bench.judging.stats import Interval, quantile, ratio_of_runs, spread
from device_bench.results import NANOSECONDS, Results, save

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Summary:
    """One model's figures in milliseconds, or as they are where nothing was timed.

    ``spread`` is the interquartile range over the median.
    """

    samples: int
    p50: float
    p90: float
    min: float
    mean: float
    spread: float


@dataclass(frozen=True)
class Measurement:
    """Results with their figures. Every figure is computed from the samples; none is stored beside them."""

    results: Results

    def summary(self, name: str) -> Summary:
        """The figures of one model, in ms (counts as they are). ResultsError if it was not measured."""
        benchmark = self.results.benchmark(name)
        ms = np.asarray(benchmark.samples) * (NANOSECONDS.get(benchmark.time_unit, 1e6) / 1e6)
        return Summary(ms.size, quantile(ms, 0.5), quantile(ms, 0.9), float(ms.min()), float(ms.mean()), spread(ms))

    def ratio(self, numerator: str, denominator: str, level: float = 0.95) -> Interval:
        """Median time of ``numerator`` over that of ``denominator``, with its interval; paired if interleaved.

        ``ratio("dense", "sparse")`` is the speedup of sparse over dense.
        """
        top, bottom = self.results.benchmark(numerator), self.results.benchmark(denominator)
        paired = self.results.context.interleaved and list(map(len, top.runs)) == list(map(len, bottom.runs))
        interval = ratio_of_runs(top.runs, bottom.runs, paired=paired, level=level).ratio
        scale = NANOSECONDS.get(top.time_unit, 1.0) / NANOSECONDS.get(bottom.time_unit, 1.0)
        return Interval(interval.estimate * scale, interval.low * scale, interval.high * scale, level)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about problems of the machine and of the samples."""
        findings = [*examine_machine(self.results.context)]
        for benchmark in self.results.benchmarks:
            findings += examine(benchmark, self.results.context)
        return (*self.results.context.warnings, *(finding.sentence for finding in findings))

    def to_json(self) -> str:
        """The results file's text, see :mod:`device_bench.results`."""
        return self.results.to_json()

    def save(self, path: str | Path) -> None:
        """Write the results file as a whole. ResultsError if the disk refuses."""
        save(self.results, path)
