"""Simulation of the gate's errors. Latencies made up from described noise, and what the gate says of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.signal import lfilter

from device_bench.judging.compare import compare
from device_bench.judging.verdict import EXIT_CODES
from device_bench.results import Benchmark, Results

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from device_bench.judging.verdict import Outcome

_MS = 4.0


@dataclass(frozen=True)
class Noise:
    """Noise of simulated samples, in shares of the latency; each run draws its own.

    Attributes:
        spread: standard deviation of a sample (of its logarithm).
        drift: a run becomes slower from start to end, by anything from nothing to this.
        outliers: share of samples that are outliers, twice as slow on average.
        slow_share: share of samples in a second, slower mode.
        slow_by: how much slower that mode is.
        memory: correlation of neighbouring samples.
        level: standard deviation of a slow level below the samples (of its logarithm) ...
        level_memory: ... and the correlation of its neighbouring values: a first-order autoregression.
        walk: step of a random walk below the samples, which begins at the model's latency.
        throttled: share of runs whose clock drops by 15 % at some moment, for good.
        offset: standard deviation of a process as a whole, which no interval of one process can show.
        processes: processes of each run, each with as many samples.

    """

    spread: float = 0.02
    drift: float = 0.0
    outliers: float = 0.0
    slow_share: float = 0.0
    slow_by: float = 0.10
    memory: float = 0.0
    level: float = 0.0
    level_memory: float = 0.99
    walk: float = 0.0
    throttled: float = 0.0
    offset: float = 0.0
    processes: int = 1


KINDS: Final[Mapping[str, Noise]] = {
    "quiet": Noise(),
    "drift": Noise(drift=0.04),
    "outliers": Noise(outliers=0.05),
    "two modes": Noise(slow_share=0.15),
    "two modes, even": Noise(slow_share=0.5, slow_by=0.04),
    "stretches": Noise(memory=0.7),
    "throttling": Noise(throttled=0.5),
    "drift, outliers, two modes": Noise(drift=0.04, outliers=0.05, slow_share=0.15),
    "processes differ by 1 %, one a side": Noise(offset=0.01),
    "two modes, far apart": Noise(slow_share=0.5, slow_by=0.2),
    "slow level": Noise(level=0.02),
    "slow level alone": Noise(spread=0.0, level=0.02),
    "random walk": Noise(walk=0.002),
    "random walk alone": Noise(spread=0.0, walk=0.002),
    "three processes, 1 %": Noise(offset=0.01, processes=3),
    "three processes, 2 %": Noise(offset=0.02, processes=3),
    "three processes, 3 %": Noise(offset=0.03, processes=3),
}
SLOW: Final = tuple(KINDS)[-7:]
"""Noise that one run's samples hardly show, which is where false alarms come from."""


def simulate(rng: np.random.Generator, noise: Noise, samples: int, slowdown: float = 0.0) -> Results:
    """One run of one model whose latency is 4 ms, ``slowdown`` (a share) slower; ``samples`` in each process."""
    processes = [_process(rng, noise, samples) for _ in range(noise.processes)]
    series = tuple((_MS * (1.0 + slowdown) * np.concatenate(processes)).tolist())
    counts = (samples,) * noise.processes if noise.processes > 1 else ()
    return Results(benchmarks=(Benchmark(name="m", time_unit="ms", samples=series, process_samples=counts),))


def _process(rng: np.random.Generator, noise: Noise, samples: int) -> NDArray[np.float64]:
    logs = noise.spread * _autoregression(rng, noise.memory, samples)
    if noise.level:
        logs += noise.level * _autoregression(rng, noise.level_memory, samples)
    if noise.walk:
        logs += noise.walk * np.cumsum(rng.standard_normal(samples))
    x = np.exp(logs + noise.offset * rng.standard_normal())
    x *= np.linspace(1.0, 1.0 + rng.uniform(0.0, noise.drift), samples)
    x[rng.random(samples) < noise.outliers] *= 1.0 + rng.exponential(1.0)
    x[rng.random(samples) < noise.slow_share] *= 1.0 + noise.slow_by
    if rng.random() < noise.throttled:
        x[int(rng.uniform(0.1, 0.9) * samples) :] *= 1.15
    return x


def _autoregression(rng: np.random.Generator, memory: float, samples: int) -> NDArray[np.float64]:
    """First-order autoregression of unit variance, which begins in its stationary state."""
    steps = rng.standard_normal(samples)
    if not memory:
        return steps
    steps[1:] *= (1.0 - memory**2) ** 0.5
    # xₜ = memory · xₜ₋₁ + stepₜ is an infinite-response filter of order one.
    filtered = lfilter([1.0], [1.0, -memory], steps)
    return np.asarray(filtered, dtype=np.float64)


@dataclass(frozen=True)
class Record:
    """Verdicts of the gate on ``trials`` comparisons under one kind of noise, as shares of them.

    Attributes:
        unchanged: outcomes where nothing changed.
        halves: false alarms where nothing changed and there is no second run.
        slower: outcomes where the new side is slower.
        promised: share of comparisons of equals that say which slowdown would be found.
        kept: share of those slowdowns that are found.
        detectable: median of those slowdowns.

    """

    unchanged: Mapping[Outcome, float]
    halves: float
    slower: Mapping[Outcome, float]
    promised: float
    kept: float
    detectable: float


def record(
    noise: Noise,
    *,
    max_regression: float,
    slowdown: float = 0.05,
    samples: int = 200,
    trials: int = 1000,
    seed: int = 0,
) -> Record:
    """Compare ``trials`` pairs of equals, of unequals, and of those that are apart by what "would be found"."""
    unchanged, slower, halves, sizes, kept = [], [], 0, [], 0
    for trial in range(trials):
        rng = np.random.default_rng((seed, trial))
        run = partial(simulate, rng, noise, samples)
        base, new = run(), run()
        first = compare(base, new, max_regression=max_regression, again=run)
        unchanged.append(first.outcome)
        halves += compare(base, new, max_regression=max_regression).outcome == "regression"
        slow = partial(run, slowdown)
        slower.append(compare(base, slow(), max_regression=max_regression, again=slow).outcome)
        if (size := first.models[0].detectable) is not None:
            sizes.append(size)
            found = partial(run, size)
            kept += compare(base, found(), max_regression=max_regression, again=found).outcome == "regression"
    return Record(
        unchanged=_shares(unchanged),
        halves=halves / trials,
        slower=_shares(slower),
        promised=len(sizes) / trials,
        kept=kept / max(len(sizes), 1),
        detectable=float(np.median(sizes)) if sizes else float("nan"),
    )


def outcomes(
    noise: Noise, slowdown: float, *, max_regression: float, samples: int = 200, trials: int = 1000
) -> Mapping[Outcome, float]:
    """Share of each outcome in ``trials`` comparisons, each with a second run when the gate asks for one."""
    said = []
    for trial in range(trials):
        rng = np.random.default_rng(trial)
        base, new = simulate(rng, noise, samples), simulate(rng, noise, samples, slowdown)
        again = partial(simulate, rng, noise, samples, slowdown)
        said.append(compare(base, new, max_regression=max_regression, again=again).outcome)
    return _shares(said)


def _shares(said: Sequence[Outcome]) -> dict[Outcome, float]:
    return {outcome: said.count(outcome) / len(said) for outcome in EXIT_CODES}
