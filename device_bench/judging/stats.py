"""Statistics of latency comparisons: intervals of medians, and rank tests.

Latencies are skewed and have outliers, so everything here speaks of medians and ranks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.special import fdtri, ndtri, stdtrit

from device_bench.judging.slow_noise import variance_inflations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

RESAMPLES: Final = 4000
_MISSED: Final = 0.0005
"""Of a promise about slowdowns that would be found: how rarely slow noise may exceed what the promise allows for."""
_LARGER_ERROR: Final = 0.9


@dataclass(frozen=True)
class Interval:
    """An estimate and the interval that holds the truth with probability ``level``."""

    estimate: float
    low: float
    high: float
    level: float


def quantile(samples: ArrayLike, q: float) -> float:
    """The ``q`` quantile (0 to 1), linear between order statistics."""
    return float(np.quantile(np.asarray(samples, dtype=np.float64), q))


def middle(runs: Sequence[ArrayLike]) -> float:
    """Geometric mean of the runs' medians: the median, where there is one run."""
    return math.exp(float(np.mean([math.log(float(np.median(np.asarray(run, dtype=np.float64)))) for run in runs])))


def halves(runs: Sequence[Floats]) -> tuple[Floats, Floats]:
    """The first halves of all runs, and the second halves."""
    first = np.concatenate([run[: run.size // 2] for run in runs])
    return first, np.concatenate([run[run.size // 2 :] for run in runs])


def spread(samples: ArrayLike) -> float:
    """Interquartile range over median: the noise in a unit that does not depend on how fast the model is."""
    low, middle, high = np.quantile(np.asarray(samples, dtype=np.float64), (0.25, 0.5, 0.75))
    return float((high - low) / middle)


def ranks(samples: ArrayLike) -> Floats:
    """Ranks from 1, ties sharing their mean rank."""
    from scipy.stats import rankdata  # takes a while to import, and reading results needs none of it

    return np.asarray(rankdata(np.asarray(samples, dtype=np.float64)), dtype=np.float64)


def effective_size(samples: ArrayLike) -> float:
    """How many independent samples these are worth, from 1 to n, by the initial positive sequence (Geyer 1992).

    n over the integrated autocorrelation time of the ranks, 1 + 2 Σ ρₖ. The sum runs over pairs of neighbouring lags,
    ρ₂ₖ + ρ₂ₖ₊₁, and ends before the first pair that is not positive: from there on it would add up estimation noise.
    Unlike the correlation of neighbours alone, it sees a slow level below white noise.
    """
    return _initial_positive_sequence(ranks(samples))


def _initial_positive_sequence(values: Floats) -> float:
    n = values.size
    centred = values - values.mean()
    variance = float(centred @ centred)
    if n < 4 or variance <= 1e-9 * n:
        return float(n)
    size = next_fast_len(2 * n)
    correlation = irfft(np.abs(rfft(centred, size)) ** 2, size)[: n // 2 * 2] / variance
    pairs = correlation[0::2] + correlation[1::2]
    ends = np.flatnonzero(pairs <= 0.0)
    positive = pairs[: ends[0]] if ends.size else pairs
    time = 2.0 * float(positive.sum()) - 1.0
    return min(max(n / time, 1.0), float(n)) if time > 0.0 else float(n)


def size_around_trend(scores: Floats) -> float:
    """The effective size of what is left of normal scores around the straight line through them, at least 2.

    A steady drift is no noise: both sides of a comparison warm up alike, and more than a little makes a run unfit.
    """
    time = np.arange(scores.size, dtype=np.float64) - (scores.size - 1) / 2.0
    line = time * (float(time @ scores) / max(float(time @ time), 1.0))
    return max(_initial_positive_sequence(scores - line), 2.0)


def normal_scores(samples: ArrayLike) -> Floats:
    """The samples' ranks as quantiles of the standard normal distribution: unit variance, no outliers."""
    found = ranks(samples)
    return np.asarray(ndtri((found - 0.5) / found.size), dtype=np.float64)


def bootstrap_medians(
    samples: ArrayLike, rng: np.random.Generator, resamples: int = RESAMPLES, size: float | None = None
) -> Floats:
    """Medians of ``resamples`` bootstrap resamples, shape (resamples,), without drawing the resamples.

    The k-th smallest of m draws with replacement from x is x at the position of the k-th smallest of m uniform numbers,
    and that one is Beta(k, m + 1 − k). Drawing it directly is the same bootstrap at a cost that does not grow with the
    number of samples. ``m`` is ``size``, by default :func:`size_around_trend`, about n for independent samples.
    """
    ordered = np.sort(np.asarray(samples, dtype=np.float64))
    n = ordered.size
    half = ((size_around_trend(normal_scores(samples)) if size is None else size) + 1.0) / 2.0
    at = rng.beta(half, half, resamples) * n
    # A median of an even number is the mean of two neighbours: read between the order statistics, not on one of them.
    return np.interp(at - 0.5, np.arange(n, dtype=np.float64), ordered)


def median_ratio(
    numerator: ArrayLike,
    denominator: ArrayLike,
    *,
    paired: bool,
    level: float = 0.95,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Interval:
    """How many times as large ``numerator`` is, with a bootstrap interval of one run a side.

    ``paired``: median of the ratios sample by sample (both taken in the same round, equal counts), which cancels what
    slows both. Otherwise the ratio of the two medians, each resampled by itself. Equal seeds give equal intervals.
    ValueError when paired counts differ.
    """
    return ratio_of_runs([numerator], [denominator], paired=paired, level=level, seed=seed, resamples=resamples).ratio


@dataclass(frozen=True)
class RunsRatio:
    """The ratio of two sides, and how much more than its interval's upper part a slowdown needs to be found.

    ``reach`` is a factor above 1: a side that is slower by ``(1 + band) · reach`` clears the band in this run and in a
    second one with a probability of about 95 %.
    """

    ratio: Interval
    reach: float


def ratio_of_runs(
    numerators: Sequence[ArrayLike],
    denominators: Sequence[ArrayLike],
    *,
    paired: bool,
    level: float = 0.95,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> RunsRatio:
    """Ratio of two sides, each of one or more runs (processes): geometric means of the runs' medians.

    The interval is the wider of two. One comes from within the runs: bootstrapped medians, stretched by what noise
    slower than a run may do (:mod:`device_bench.judging.slow_noise`). The other comes from between the runs: Student's
    t of their log medians, where there are more runs than sides.

    ``paired``: run i of both sides is one process that took sample j of both in the same round. ValueError when paired
    counts differ.
    """
    rng = np.random.default_rng(seed)
    top, bottom = _logs(numerators), _logs(denominators)
    if paired:
        if [run.size for run in top] != [run.size for run in bottom]:
            counts = " and ".join(str([run.size for run in side]) for side in (top, bottom))
            raise ValueError(f"paired samples must be equally many, not {counts}")
        sides = [[x - y for x, y in zip(top, bottom, strict=True)]]
    else:
        sides = [top, bottom]
    runs = [run for side in sides for run in side]
    medians = [np.array([float(np.median(run)) for run in side]) for side in sides]
    signs = (1.0, -1.0)[: len(sides)]
    estimate = float(sum(sign * middle.mean() for sign, middle in zip(signs, medians, strict=True)))
    scores = [normal_scores(run) for run in runs]
    inflations = variance_inflations(scores, rng, resamples)
    deviation, at = np.zeros(resamples), 0
    for sign, side in zip(signs, sides, strict=True):
        for run in side:
            # The bootstrap has the memory that the run shows; what is slower than the run comes on top.
            size = size_around_trend(scores[at])
            stretch = np.sqrt(np.maximum(inflations[at] * size / run.size, 1.0))
            off = bootstrap_medians(run, rng, resamples, size) - float(np.median(run))
            deviation += sign / len(side) * stretch * off
            at += 1
    tail = (1.0 - level) / 2.0
    low, high, reach = np.quantile(deviation, (tail, 1.0 - tail, 1.0 - _MISSED))
    below, above = max(-float(low), 0.0), max(float(high), 0.0)
    furthest = below + max(float(reach), above)
    freedom = len(runs) - len(sides)
    if freedom > 0:
        squares = sum(float(((middle - middle.mean()) ** 2).sum()) for middle in medians)
        error = math.sqrt(squares / freedom * sum(1.0 / middle.size for middle in medians))
        half = float(stdtrit(freedom, 1.0 - tail)) * error
        # Another run's error is estimated anew: it may be larger than this one's by the root of an F quantile.
        furthest = max(furthest, half * (1.0 + math.sqrt(float(fdtri(freedom, freedom, _LARGER_ERROR)))))
        below, above = max(below, half), max(above, half)
    low, high = math.exp(estimate - below), math.exp(estimate + above)
    return RunsRatio(Interval(math.exp(estimate), low, high, level), math.exp(furthest))


def mann_whitney(larger: ArrayLike, smaller: ArrayLike) -> float:
    """One-sided p-value of "``larger`` tends to be larger" (Mann & Whitney 1947), normal approximation.

    With tie and continuity correction; good from about eight samples a side. 1 where all samples are equal.
    """
    from scipy.stats import mannwhitneyu

    x, y = np.asarray(larger, dtype=np.float64), np.asarray(smaller, dtype=np.float64)
    if min(x.min(), y.min()) == max(x.max(), y.max()):
        return 1.0
    return float(mannwhitneyu(x, y, alternative="greater", method="asymptotic").pvalue)


def signed_rank(differences: ArrayLike) -> float:
    """One-sided p-value of "the differences tend to be above zero" (Wilcoxon 1945), normal approximation.

    The paired counterpart of Mann–Whitney. Zeros are dropped; tie and continuity correction.
    """
    from scipy.stats import wilcoxon

    d = np.asarray(differences, dtype=np.float64)
    if not d.any():
        return 1.0
    test = wilcoxon(d, zero_method="wilcox", correction=True, alternative="greater", method="asymptotic")
    return float(test.pvalue)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjusted p-values (Holm 1979): rejecting those at most α keeps the chance of any false rejection below α."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, running = [0.0] * len(p_values), 0.0
    for position, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - position) * p_values[index]))
        adjusted[index] = running
    return tuple(adjusted)


def _logs(runs: Sequence[ArrayLike]) -> list[Floats]:
    return [np.log(np.asarray(run, dtype=np.float64)) for run in runs]
