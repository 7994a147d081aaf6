"""How often does the gate err? Latencies made up from described noise, and what the gate says of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from device_bench.compare import compare
from device_bench.results import Benchmark, Results

if TYPE_CHECKING:
    from collections.abc import Mapping

    from device_bench.verdict import Outcome

_MS = 4.0


@dataclass(frozen=True)
class Noise:
    """What makes samples differ; all shares are of the latency, and each run draws its own.

    Attributes:
        spread: standard deviation of a sample (of its logarithm).
        drift: a run becomes slower from start to end, by anything from nothing to this.
        outliers: share of samples that are outliers, twice as slow on average.
        slow_share: share of samples in a second, slower mode.
        slow_by: how much slower that mode is.
        memory: correlation of neighbouring samples.
        throttled: share of runs whose clock drops by 15 % at some moment, for good.
        level: standard deviation of a run as a whole, which no interval of one run can show.

    """

    spread: float = 0.02
    drift: float = 0.0
    outliers: float = 0.0
    slow_share: float = 0.0
    slow_by: float = 0.10
    memory: float = 0.0
    throttled: float = 0.0
    level: float = 0.0


KINDS: Final[Mapping[str, Noise]] = {
    "quiet": Noise(),
    "drift": Noise(drift=0.04),
    "outliers": Noise(outliers=0.05),
    "two modes": Noise(slow_share=0.15),
    "two modes, even": Noise(slow_share=0.5, slow_by=0.04),
    "stretches": Noise(memory=0.7),
    "throttling": Noise(throttled=0.5),
    "drift, outliers, two modes": Noise(drift=0.04, outliers=0.05, slow_share=0.15),
    "runs differ by 1 %": Noise(level=0.01),
    "two modes, far apart": Noise(slow_share=0.5, slow_by=0.2),
}


def simulate(rng: np.random.Generator, noise: Noise, samples: int, slowdown: float = 0.0) -> Results:
    """One run of one model whose latency is 4 ms, ``slowdown`` (a share) slower."""
    steps = rng.standard_normal(samples)
    for i in range(1, samples if noise.memory else 1):
        steps[i] = noise.memory * steps[i - 1] + (1.0 - noise.memory**2) ** 0.5 * steps[i]
    x = _MS * (1.0 + slowdown) * np.exp(noise.spread * steps)
    x *= np.linspace(1.0, 1.0 + rng.uniform(0.0, noise.drift), samples)
    x *= np.exp(noise.level * rng.standard_normal())
    x[rng.random(samples) < noise.outliers] *= 1.0 + rng.exponential(1.0)
    x[rng.random(samples) < noise.slow_share] *= 1.0 + noise.slow_by
    if rng.random() < noise.throttled:
        x[int(rng.uniform(0.1, 0.9) * samples) :] *= 1.15
    return Results(benchmarks=(Benchmark(name="m", time_unit="ms", samples=tuple(x.tolist())),))


def outcomes(
    noise: Noise, slowdown: float, *, max_regression: float, samples: int = 200, trials: int = 1000
) -> dict[Outcome, float]:
    """Share of each outcome in ``trials`` comparisons, each with a second run when the gate asks for one."""
    counts: dict[Outcome, int] = {"ok": 0, "regression": 0, "inconclusive": 0}
    for trial in range(trials):
        rng = np.random.default_rng(trial)
        base, new = simulate(rng, noise, samples), simulate(rng, noise, samples, slowdown)

        def again(rng: np.random.Generator = rng) -> Results:
            return simulate(rng, noise, samples, slowdown)

        counts[compare(base, new, max_regression=max_regression, again=again).outcome] += 1
    return {outcome: count / trials for outcome, count in counts.items()}
