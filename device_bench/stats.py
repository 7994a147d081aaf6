"""The statistics of latency comparisons, in plain NumPy.

Latencies are skewed and have outliers, so everything here speaks of medians and ranks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

RESAMPLES = 2000


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


def spread(samples: ArrayLike) -> float:
    """Interquartile range over median: the noise in a unit that does not depend on how fast the model is."""
    low, middle, high = np.quantile(np.asarray(samples, dtype=np.float64), (0.25, 0.5, 0.75))
    return float((high - low) / middle)


def ranks(samples: ArrayLike) -> Floats:
    """Ranks from 1, ties sharing their mean rank."""
    values = np.asarray(samples, dtype=np.float64)
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2.0)[inverse], dtype=np.float64)


def effective_size(samples: ArrayLike) -> float:
    """How many independent samples these are worth: n (1 − ρ)/(1 + ρ), ρ the lag-1 rank correlation if above 0.

    Noise on a real machine comes in stretches; a bootstrap that takes neighbours for independent is overconfident.
    """
    r = ranks(samples)
    n = r.size
    centred = r - r.mean()
    variance = float(centred @ centred)
    if n < 3 or variance == 0.0:
        return float(n)
    rho = min(max(float(centred[:-1] @ centred[1:]) / variance, 0.0), 0.99)
    return max(n * (1.0 - rho) / (1.0 + rho), 2.0)


def bootstrap_medians(samples: ArrayLike, rng: np.random.Generator, resamples: int = RESAMPLES) -> Floats:
    """Medians of ``resamples`` bootstrap resamples, shape (resamples,), without drawing the resamples.

    The k-th smallest of m draws with replacement from x is x at the position of the k-th smallest of m uniform numbers,
    and that one is Beta(k, m + 1 − k). Drawing it directly is the same bootstrap at a cost that does not grow with the
    number of samples. ``m`` is :func:`effective_size`, which for independent samples is about their number.
    """
    ordered = np.sort(np.asarray(samples, dtype=np.float64))
    n = ordered.size
    half = (effective_size(samples) + 1.0) / 2.0
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
    """How many times as large ``numerator`` is, with a percentile bootstrap interval.

    ``paired``: median of the ratios sample by sample (both taken in the same round, equal counts), which cancels what
    slows both. Otherwise the ratio of the two medians, each resampled by itself. Equal seeds give equal intervals.
    ValueError when paired counts differ.
    """
    top, bottom = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    rng = np.random.default_rng(seed)
    if paired:
        if top.size != bottom.size:
            raise ValueError(f"paired samples must be equally many, not {top.size} and {bottom.size}")
        logs = np.log(top / bottom)
        estimate, draws = float(np.median(logs)), bootstrap_medians(logs, rng, resamples)
    else:
        estimate = math.log(float(np.median(top)) / float(np.median(bottom)))
        draws = np.log(bootstrap_medians(top, rng, resamples)) - np.log(bootstrap_medians(bottom, rng, resamples))
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(draws, (tail, 1.0 - tail))
    return Interval(math.exp(estimate), math.exp(float(low)), math.exp(float(high)), level)


def mann_whitney(larger: ArrayLike, smaller: ArrayLike) -> float:
    """One-sided p-value of "``larger`` tends to be larger" (Mann & Whitney 1947), normal approximation.

    With tie and continuity correction; good from about eight samples a side.
    """
    x, y = np.asarray(larger, dtype=np.float64), np.asarray(smaller, dtype=np.float64)
    n, m = x.size, y.size
    both = np.concatenate([x, y])
    u = float(ranks(both)[:n].sum()) - n * (n + 1) / 2.0
    counts = np.unique(both, return_counts=True)[1].astype(np.float64)
    total = n + m
    variance = n * m / 12.0 * (total + 1 - float((counts**3 - counts).sum()) / (total * (total - 1)))
    return _upper_tail(u - n * m / 2.0, variance)


def signed_rank(differences: ArrayLike) -> float:
    """One-sided p-value of "the differences tend to be above zero" (Wilcoxon 1945), normal approximation.

    The paired counterpart of Mann–Whitney. Zeros are dropped; tie and continuity correction.
    """
    d = np.asarray(differences, dtype=np.float64)
    d = d[d != 0.0]
    n = d.size
    if n == 0:
        return 1.0
    absolute = np.abs(d)
    w = float(ranks(absolute)[d > 0.0].sum())
    counts = np.unique(absolute, return_counts=True)[1].astype(np.float64)
    variance = n * (n + 1) * (2 * n + 1) / 24.0 - float((counts**3 - counts).sum()) / 48.0
    return _upper_tail(w - n * (n + 1) / 4.0, variance)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjusted p-values (Holm 1979): rejecting those at most α keeps the chance of any false rejection below α."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, running = [0.0] * len(p_values), 0.0
    for position, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - position) * p_values[index]))
        adjusted[index] = running
    return tuple(adjusted)


def _upper_tail(excess: float, variance: float) -> float:
    """P(Z ≥ (excess − ½)/σ): the continuity correction makes a one-sided p-value larger, never smaller."""
    if variance <= 0.0:
        return 1.0
    return 0.5 * math.erfc((excess - 0.5) / math.sqrt(2.0 * variance))
