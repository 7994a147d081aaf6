"""How far noise that is slower than a run may move its median, against runs whose noise is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from device_bench.judging.slow_noise import FEWEST, variance_inflations
from device_bench.judging.stats import normal_scores

DRAWS = 1000


def autoregression(rng: np.random.Generator, rho: float, n: int) -> np.ndarray:
    steps = rng.standard_normal(n)
    steps[1:] *= (1.0 - rho**2) ** 0.5
    return lfilter([1.0], [1.0, -rho], steps)


def drawn(runs: list[np.ndarray], seed: int = 0) -> np.ndarray:
    return variance_inflations([normal_scores(run) for run in runs], np.random.default_rng(seed), DRAWS)


def test_white_noise_is_hardly_inflated() -> None:
    rng = np.random.default_rng(0)
    middles = [np.median(drawn([rng.standard_normal(200), rng.standard_normal(200)])) for _ in range(60)]
    assert np.quantile(middles, 0.9) < 1.3
    assert min(middles) > 0.8


@pytest.mark.parametrize("white", [0.0, 1.0])
@pytest.mark.parametrize("rho", [0.0, 0.9, 0.99])
def test_the_mean_of_a_run_is_where_the_draws_say(rho: float, white: float) -> None:
    """Of runs around zero, the means lie within the draws' 95 % in at least 75 %: a run may hide its slow level."""
    rng, n, held, trials = np.random.default_rng(1), 200, 0, 100
    for _ in range(trials):
        runs = [autoregression(rng, rho, n) + white * rng.standard_normal(n) for _ in range(2)]
        off = np.sqrt(drawn(runs)[0] * np.var(runs[0]) / n) * rng.standard_normal(DRAWS)
        held += abs(runs[0].mean()) < np.quantile(abs(off), 0.95)
    assert held >= 0.75 * trials


def test_a_straight_line_is_not_slow_noise() -> None:
    rng = np.random.default_rng(2)
    line = np.linspace(0.0, 2.0, 200)
    middles = [np.median(drawn([line + rng.standard_normal(200) for _ in range(2)])) for _ in range(40)]
    assert np.median(middles) < 1.5


def test_runs_tell_about_each_other_and_long_ones_are_thinned() -> None:
    rng = np.random.default_rng(3)
    walk = np.cumsum(rng.standard_normal(200))
    quiet = rng.standard_normal(200)
    assert np.median(drawn([walk, quiet])[1]) > 2.0 * np.median(drawn([quiet])[0])
    long = autoregression(rng, 0.999, 20_000) + rng.standard_normal(20_000)
    true = 0.5 * (1.0 + 0.999) / (1.0 - 0.999)
    assert 0.3 * true < np.median(drawn([long])) < 3.0 * true
    mixed = drawn([rng.standard_normal(1200), rng.standard_normal(60)])
    assert mixed.shape == (2, DRAWS)
    assert np.median(mixed) < 1.6


def test_what_is_too_short_or_constant_is_left_alone() -> None:
    assert (drawn([np.arange(FEWEST - 1.0)]) == 1.0).all()
    assert (drawn([np.ones(50), np.ones(50)]) == 1.0).all()
    same = [np.random.default_rng(4).standard_normal(30)]
    assert (drawn(same) == drawn(same)).all()
