"""Measure, compare, and measure again before anything is called slower: the one loop of every latency gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from device_bench.judging.compare import DEFAULT_BAND, compare

if TYPE_CHECKING:
    from collections.abc import Callable

    from device_bench.judging.verdict import Verdict
    from device_bench.measurement import Measurement
    from device_bench.results import Results

    Measure = Callable[[int], Measurement]
    Sides = Callable[[Results], tuple[Results, Results]]


@dataclass(frozen=True)
class Gated:
    """First measurement, and the verdict on it."""

    measurement: Measurement
    verdict: Verdict


def measure_and_compare(
    measure: Measure,
    sides: Sides,
    *,
    max_regression: float | str = DEFAULT_BAND,
    paired: bool = False,
    control: str | None = None,
) -> Gated:
    """Measure, compare, and measure a second time if a regression is about to be found.

    ``measure`` gets the number of the run, 0 or 1: it should use another seed in each. ``sides`` makes (base, new) of a
    run's results: a baseline and the run, or the two halves of a run that measured both. Raises what these raise, and
    what :func:`device_bench.judging.compare.compare` does.
    """
    first = measure(0)
    verdict = compare(
        *sides(first.results),
        max_regression=max_regression,
        paired=paired,
        again=lambda: sides(measure(1).results),
        control=control,
    )
    return Gated(first, verdict)


def against(baseline: Results) -> Sides:
    """Hold every run against one baseline."""
    return lambda results: (baseline, results)
