"""Health of a measurement: drift, modes, spread and heat that make a median mean something else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from device_bench.judging.stats import ranks, spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from device_bench.results import Benchmark, Context

    Floats = NDArray[np.float64]

Cause = Literal["thermal drop", "drift", "bimodal", "spread", "load", "battery", "warm-up", "few samples", "governor"]

MAX_SPREAD = 0.15  # interquartile range over median
MAX_DRIFT = 0.05  # first third of a run against its last third
MIN_MODE_SHARE = 0.25  # a smaller mode cannot carry the median
MIN_SHARED_MODE = 0.10  # share of a side's samples at a mode that make the mode one of that side
MIN_MODE_GAP = 0.05  # distance of the modes over the median
MIN_MODE_SEPARATION = 4.5  # Ashman's D; a normal population cut in two has 2.6, a uniform one 3.5
SEPARATION_OF_FEW = 30.0  # over the number of samples, on top: few samples look divided by chance
MAX_VALLEY = 0.08  # share of the samples in the middle third between the modes; a normal population has 0.21
THERMAL_SLOWDOWN = 0.95  # of the clock at the start
THERMAL_RISE_C = 8.0
FEWEST_FOR_SHAPE = 9


@dataclass(frozen=True)
class Finding:
    """One thing that was wrong: its name, a sentence, and whether a verdict on these samples is worth anything."""

    cause: Cause
    sentence: str
    unfit: bool


def examine(benchmark: Benchmark, context: Context | None = None) -> tuple[Finding, ...]:
    """Problems of the samples of one benchmark, process by process, worst first."""
    runs = benchmark.runs
    if len(benchmark.samples) < FEWEST_FOR_SHAPE:
        sentence = (
            f"{benchmark.name}: {len(benchmark.samples)} samples are too few to say anything; "
            f"take at least {FEWEST_FOR_SHAPE}."
        )
        return (Finding("few samples", sentence, unfit=True),)
    findings: list[Finding] = []
    begin = 0
    for number, run in enumerate(runs, 1):
        clocks = benchmark.frequencies_mhz[begin : begin + len(run)]
        begin += len(run)
        if len(run) >= FEWEST_FOR_SHAPE:
            name = benchmark.name if len(runs) == 1 else f"{benchmark.name}, process {number},"
            findings += _shape(name, np.asarray(run), clocks, context)
    if benchmark.warmup_stable is False:
        sentence = f"{benchmark.name} had not settled when its warm-up reached its bound."
        findings.append(Finding("warm-up", sentence, unfit=False))
    return tuple(findings)


def _shape(name: str, samples: Floats, clocks: Sequence[float], context: Context | None) -> list[Finding]:
    """Drift, modes and spread of one process's samples."""
    findings = []
    slope = drift(samples)
    if abs(slope) > MAX_DRIFT:
        heat = _heat(clocks, context) if slope > 0 else None
        direction = "slower" if slope > 0 else "faster"
        sentence = f"{name} became {abs(slope):.0%} {direction} from the first to the last third of the run"
        if heat:
            findings.append(Finding("thermal drop", f"{sentence} while {heat}: let the machine cool.", unfit=True))
        else:
            findings.append(Finding("drift", f"{sentence}: something else ran, or it was not yet warm.", unfit=True))
    # A run that drifts has two modes for that reason alone: look for modes around the trend.
    if modes := two_modes(samples if not findings else _detrended(samples)):
        share, gap = modes
        findings.append(
            Finding(
                "bimodal",
                f"{name} has two modes {gap:.0%} apart, {share:.0%} of the samples in the smaller one: "
                "it moved between kinds of cores, clocks or neighbours; pin it to cores.",
                unfit=True,
            )
        )
    if (width := spread(samples)) > MAX_SPREAD and not findings:
        findings.append(
            Finding("spread", f"{name}: half of the samples spread over {width:.0%} of the median.", unfit=True)
        )
    return findings


def examine_machine(context: Context) -> tuple[Finding, ...]:
    """Problems of the machine before the first sample."""
    findings = []
    before = context.before
    if before and before.load_avg and context.num_cpus:
        free = context.num_cpus - (context.threads or 1)
        if before.load_avg[0] > free + 0.5:
            sentence = (
                f"In the minute before the measurement {before.load_avg[0]:.1f} of {context.num_cpus} cores were busy, "
                "with other work or with what the command did before."
            )
            findings.append(Finding("load", sentence, unfit=False))
    if before and before.on_battery:
        findings.append(Finding("battery", "The machine ran on its battery, which may lower its clocks.", unfit=False))
    if context.governor == "powersave":
        findings.append(
            Finding("governor", "The clock governor was 'powersave'; clocks may have been low.", unfit=False)
        )
    return tuple(findings)


def drift(samples: ArrayLike) -> float:
    """Median of the last third over that of the first, minus 1; 0 unless a trend is there at all (rank correlation)."""
    x = np.asarray(samples, dtype=np.float64)
    third = max(x.size // 3, 1)
    r = ranks(x)
    time = np.arange(x.size, dtype=np.float64)
    if np.ptp(r) == 0.0:
        return 0.0
    rho = float(np.corrcoef(r, time)[0, 1])
    if abs(rho) * np.sqrt(x.size - 1) < 3.0:  # Spearman's ρ √(n−1) is about standard normal when there is no trend
        return 0.0
    return float(np.median(x[-third:]) / np.median(x[:third]) - 1.0)


def two_modes(samples: ArrayLike) -> tuple[float, float] | None:
    """(share of the smaller mode, gap between the modes over the median) if there are two, else None."""
    x = np.asarray(samples, dtype=np.float64)
    if (found := _modes(x)) is None:
        return None
    low, high = found
    share = float((x > (low + high) / 2.0).mean())
    return min(share, 1.0 - share), (high - low) / float(np.median(x))


@dataclass(frozen=True)
class ChangedModes:
    """Two modes that two runs have in common: where they are, and the slow one's share in the base and the new side."""

    fast: float
    slow: float
    shares: tuple[float, float]


def changed_modes(base: ArrayLike, new: ArrayLike) -> ChangedModes | None:
    """The two modes of both sides together, if their medians are in different ones and one side has samples in both.

    Then the code may be the same and the machine has moved: to other cores, another clock, other neighbours. Where
    every sample of the new side is slower than every one of the base there are two modes too, one a side, and that is a
    change of the code. A side has both if at least a tenth of its samples stand at the other's mode.
    """
    sides = [np.sort(np.asarray(side, dtype=np.float64)) for side in (base, new)]
    count = min(side.size for side in sides)
    # As many of each, evenly over its ranks: the larger side must not hide the other's mode.
    even = [side[((np.arange(count) + 0.5) * side.size / count).astype(np.intp)] for side in sides]
    if (found := _modes(np.concatenate(even))) is None:
        return None
    low, high = found
    cut = (low + high) / 2.0
    if (float(np.median(sides[0])) > cut) == (float(np.median(sides[1])) > cut):
        return None
    reach = (high - low) / 4.0
    at = [[float((np.abs(side - mode) < reach).mean()) for mode in (low, high)] for side in sides]
    if max(min(shares) for shares in at) < MIN_SHARED_MODE:
        return None
    return ChangedModes(low, high, (float((sides[0] > cut).mean()), float((sides[1] > cut).mean())))


def _modes(samples: Floats) -> tuple[float, float] | None:
    """The means of the two modes if there are two, else None.

    The samples are cut where the variance within the two parts is least (Otsu 1979). They are two modes if the cut is
    deep: Ashman's D = |μ₁ − μ₂| / √((σ₁² + σ₂²)/2) beyond what one normal or uniform population gives, hardly any
    sample half-way, neither part small, and the gap large enough to matter.
    """
    x = np.sort(samples)
    n = x.size
    # Outliers would drag a part's spread along: the outermost 2 % a side count as the values beside them.
    x = np.clip(x, x[int(0.02 * n)], x[n - 1 - int(0.02 * n)])
    left = np.arange(1, n, dtype=np.float64)
    sums, squares = np.cumsum(x)[:-1], np.cumsum(x * x)[:-1]
    total, total_squares = float(x.sum()), float(x @ x)
    within = (squares - sums**2 / left) + (total_squares - squares - (total - sums) ** 2 / (n - left))
    least = max(int(np.ceil(MIN_MODE_SHARE * n)), 2)
    if n < 2 * least + 1:
        return None
    cut = least + int(np.argmin(within[least - 1 : n - least]))
    low, high = x[:cut], x[cut:]
    gap = float(high.mean() - low.mean())
    noise = float(np.sqrt((low.var() + high.var()) / 2.0))
    relative = gap / float(np.median(x))
    if relative < MIN_MODE_GAP or gap < (MIN_MODE_SEPARATION + SEPARATION_OF_FEW / n) * noise:
        return None
    middle = float(low.mean() + high.mean()) / 2.0
    share = float((x > middle).mean())
    valley = float((np.abs(x - middle) < gap / 6.0).mean())
    if valley > MAX_VALLEY or min(share, 1.0 - share) < MIN_MODE_SHARE:
        return None
    return float(low.mean()), float(high.mean())


def _detrended(samples: Floats) -> Floats:
    time = np.arange(samples.size, dtype=np.float64)
    slope, start = np.polyfit(time, samples, 1)
    return np.asarray(samples - slope * time - start + np.median(samples), dtype=np.float64)


def _heat(clocks: Sequence[float], context: Context | None) -> str | None:
    """Sentence about heat or falling clocks from the sensors; None where there is neither."""
    third = max(len(clocks) // 3, 1)
    if clocks:
        first, last = float(np.median(clocks[:third])), float(np.median(clocks[-third:]))
        if last < THERMAL_SLOWDOWN * first:
            return f"the clock fell from {first:.0f} to {last:.0f} MHz"
    if context is None or context.before is None or context.after is None:
        return None
    before, after = context.before, context.after
    if before.frequencies_mhz and after.frequencies_mhz:
        first, last = max(before.frequencies_mhz), max(after.frequencies_mhz)
        if last < THERMAL_SLOWDOWN * first:
            return f"the clock fell from {first:.0f} to {last:.0f} MHz"
    rises = {
        zone: after.temperatures_c[zone] - start
        for zone, start in before.temperatures_c.items()
        if zone in after.temperatures_c
    }
    if rises and max(rises.values()) >= THERMAL_RISE_C:
        zone = max(rises, key=lambda key: rises[key])
        return f"{zone} rose by {rises[zone]:.0f} °C"
    return None
