"""Noise that is slower than a run: how far the median of a run may be off, read from the run's own spectrum.

A clock or a neighbour that changes over minutes moves a run of seconds as a whole. Autocorrelations within the run see
little of it, since they are taken around the run's own mean. Its spectrum does: slow noise rises towards low
frequencies. So the lowest frequencies, those that were seen, tell how much there is at frequency zero, which was not.

The model is white noise, or white noise on a first-order autoregression (a random walk at the slowest): spectrum
``w (1 + r g(ω))`` with ``g(ω) = 1 / |1 − ρ e^{−iω}|²``, on a grid of memories 1/(1 − ρ) and of strengths r. The
likelihood is Whittle's (1953), the scale w is integrated out, and every point of the grid gets its posterior
probability. A draw from it is the factor by which the variance of a run's median exceeds that of independent samples.
Drawing, instead of taking the likeliest, keeps the tail: a short run cannot exclude slow noise, only make it unlikely.

The lowest frequency is left out. It is where a straight line lies, and a steady drift (warming up, heat) has another
judge, :mod:`device_bench.judging.health`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.fft import dct

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FEWEST: Final = 6
"""Samples below which a run has no spectrum to speak of."""
_MOST_POINTS: Final = 512
_FIRST_MODE: Final = 2
_MEMORIES: Final = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""Memories 1/(1 − ρ) as shares of the run; a random walk, which has no end of memory, comes on top."""
_ODDS: Final = (1.0, 1.0, 1.0, 1.0, 1.0, 3.0, 5.0)
"""Prior odds of the memories and the walk. Long ones look alike within a run and move it unlike: the worse counts."""
_INFLATIONS: Final = np.geomspace(1.25, 1e5, 24)
_WHITE: Final = 0.7
"""Prior probability that there is no slow noise at all."""


def variance_inflations(runs: Sequence[Floats], rng: np.random.Generator, draws: int) -> Floats:
    """Draw, for each run, factors by which the variance of its median exceeds that of independent samples.

    ``runs`` are the normal scores (:func:`device_bench.judging.stats.normal_scores`) of the samples of one or more runs
    on one machine, each in the order in which it was taken. They share their noise, so each tells about all: a draw is
    one point of the grid for all runs. Shape (runs, draws). Factors are 1 where runs are shorter than six samples.
    """
    block = -(-max(run.size for run in runs) // _MOST_POINTS)
    scores = [_blocks(run, block) for run in runs]
    reference = max(z.size for z in scores)
    grids = [_grid(z.size, reference) if z.size >= FEWEST else None for z in scores]
    log_posterior, energy, count = _prior(), np.zeros(_prior().size), 0
    for z, grid in zip(scores, grids, strict=True):
        if grid is not None:
            power = dct(z, type=2, norm="ortho")[_FIRST_MODE:] ** 2
            energy += power @ grid.inverse
            log_posterior -= 0.5 * grid.log_determinant
            count += power.size
    if not count or not energy.all():
        return np.ones((len(runs), draws))
    log_posterior -= 0.5 * count * np.log(energy)
    weights = np.exp(log_posterior - log_posterior.max())
    # Systematic sampling of the posterior: its tail is there in every thousand draws, without chance.
    at = (np.arange(draws) + 0.5) / draws
    chosen = np.searchsorted(np.cumsum(weights) / weights.sum(), at).clip(max=weights.size - 1)
    chosen = rng.permutation(chosen)
    white = energy[chosen] / count * block
    return np.stack([np.ones(draws) if grid is None else white * grid.inflation[chosen] for grid in grids])


def _blocks(scores: Floats, block: int) -> Floats:
    """Means of neighbours."""
    return np.asarray(scores[: scores.size // block * block].reshape(-1, block).mean(axis=1), dtype=np.float64)


def _prior() -> Floats:
    """Logarithms of the prior probabilities: white noise alone, then the memories, every strength alike."""
    strengths = _INFLATIONS.size
    slow = np.repeat(_ODDS, strengths) * (1.0 - _WHITE) / (sum(_ODDS) * strengths)
    return np.asarray(np.log([_WHITE, *slow]), dtype=np.float64)


@dataclass(frozen=True)
class _Grid:
    """The models of a run of some length, for white noise of unit variance below the slow noise.

    ``inverse`` is one over the spectrum, shape (modes, grid); ``log_determinant`` the sum of its logarithms, and
    ``inflation`` the variance of the run's mean over that of white noise, both of shape (grid,).
    """

    inverse: Floats
    log_determinant: Floats
    inflation: Floats


@lru_cache(maxsize=64)
def _grid(points: int, reference: int) -> _Grid:
    """Models whose memories and strengths are those of a run of ``reference`` points, seen in one of ``points``."""
    frequency = np.pi * np.arange(_FIRST_MODE, points) / points
    spectra, inflations = [np.ones(frequency.size)], [1.0]
    for share in (*_MEMORIES, np.inf):
        rho = float(np.exp(-1.0 / max(share * reference, 0.5)))
        shape = 1.0 / (1.0 - 2.0 * rho * np.cos(frequency) + rho**2)
        at_reference, here = _variance_of_mean(rho, reference), _variance_of_mean(rho, points)
        for strength in (_INFLATIONS - 1.0) / at_reference:
            spectra.append(1.0 + strength * shape)
            inflations.append(1.0 + float(strength) * here)
    spectrum = np.stack(spectra, axis=1)
    return _Grid(1.0 / spectrum, np.log(spectrum).sum(axis=0), np.array(inflations))


def _variance_of_mean(rho: float, points: int) -> float:
    """Variance of the mean of an autoregression with unit steps, times ``points``.

    A random walk begins at the truth, so that its mean is off by ``points`` / 3 steps' variance.
    """
    if rho >= 1.0:
        return points**2 / 3.0
    lags = np.arange(1, points)
    return (1.0 + 2.0 * float(((1.0 - lags / points) * rho**lags).sum())) / (1.0 - rho**2)
