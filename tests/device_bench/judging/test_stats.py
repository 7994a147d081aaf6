from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from device_bench.judging import stats

few_values = hnp.arrays(np.float64, st.integers(9, 40), elements=st.integers(1, 12).map(float))


@given(x=few_values, y=few_values)
def test_mann_whitney_agrees_with_scipy_ties_included(x: np.ndarray, y: np.ndarray) -> None:
    if np.unique(np.concatenate([x, y])).size == 1:
        assert stats.mann_whitney(x, y) == 1.0
        return
    expected = scipy.stats.mannwhitneyu(x, y, alternative="greater", method="asymptotic").pvalue
    assert stats.mann_whitney(x, y) == pytest.approx(expected, rel=1e-9, abs=1e-15)


@given(x=few_values, shift=st.integers(-3, 3))
def test_signed_rank_agrees_with_scipy_ties_and_zeros_included(x: np.ndarray, shift: int) -> None:
    d = x - 6.0 + shift
    if not d.any():
        assert stats.signed_rank(d) == 1.0
        return
    expected = scipy.stats.wilcoxon(
        d, zero_method="wilcox", correction=True, alternative="greater", method="asymptotic"
    ).pvalue
    assert stats.signed_rank(d) == pytest.approx(expected, rel=1e-9, abs=1e-15)


@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_the_closed_test_of_bonferroni(p: list[float]) -> None:
    """Oracle by definition: a hypothesis falls if every intersection that contains it falls to Bonferroni."""
    if len(p) > 6:
        p = p[:6]
    adjusted = stats.holm(p)
    for index in range(len(p)):
        worst = 0.0
        for subset in range(1, 1 << len(p)):
            members = [i for i in range(len(p)) if subset >> i & 1]
            if index in members:
                worst = max(worst, min(1.0, len(members) * min(p[i] for i in members)))
        assert adjusted[index] == pytest.approx(worst)


@given(x=few_values)
def test_ranks_agree_with_scipy(x: np.ndarray) -> None:
    assert stats.ranks(x).tolist() == scipy.stats.rankdata(x).tolist()


def test_bootstrap_without_resampling_is_the_bootstrap() -> None:
    """Against the definition: medians of 20,000 resamples drawn with replacement."""
    rng = np.random.default_rng(5)
    for n in (9, 10, 51, 60):
        x = rng.lognormal(0.0, 0.1, n)
        plain = np.median(rng.choice(x, (20_000, n)), axis=1)
        ours = stats.bootstrap_medians(rng.permutation(x), np.random.default_rng(1), 20_000)
        width = np.ptp(np.quantile(plain, (0.025, 0.975)))
        for q in (0.025, 0.25, 0.5, 0.75, 0.975):
            assert abs(np.quantile(ours, q) - np.quantile(plain, q)) < 0.25 * width


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("n", [15, 60])
def test_intervals_hold_the_truth_about_as_often_as_they_say(n: int, paired: bool) -> None:
    rng = np.random.default_rng(7)
    held = 0
    for seed in range(400):
        x, y = rng.lognormal(0.0, 0.02, n), 1.05 * rng.lognormal(0.0, 0.02, n)
        interval = stats.median_ratio(y, x, paired=paired, seed=seed, resamples=1000)
        assert interval.low <= interval.estimate <= interval.high
        held += interval.low <= 1.05 <= interval.high
    assert 0.92 <= held / 400 <= 0.995


def autoregression(rng: np.random.Generator, rho: float, n: int) -> np.ndarray:
    steps = rng.standard_normal(n)
    level = np.empty(n)
    level[0] = steps[0]
    for i in range(1, n):
        level[i] = rho * level[i - 1] + (1.0 - rho**2) ** 0.5 * steps[i]
    return level


def test_noise_in_stretches_widens_the_interval() -> None:
    rng = np.random.default_rng(3)
    x = np.exp(0.02 * autoregression(rng, 0.8, 200))
    assert stats.effective_size(x) < 60
    assert stats.effective_size(rng.permutation(x)) > 120
    one = np.ones(200)
    assert np.ptp(_bounds(x, one)) > 1.5 * np.ptp(_bounds(rng.permutation(x), one))


@pytest.mark.parametrize("rho", [0.5, 0.9, 0.98])
@pytest.mark.parametrize("white", [0.0, 1.0])
def test_the_effective_size_is_that_of_the_process(rho: float, white: float) -> None:
    """Against the definition: n over 1 + 2 Σ ρₖ, with white noise on top, which hides nothing from the sum."""
    rng, n = np.random.default_rng(11), 20_000
    x = autoregression(rng, rho, n) + white * rng.standard_normal(n)
    time = 1.0 + 2.0 * rho / (1.0 - rho) / (1.0 + white**2)
    assert stats.effective_size(x) == pytest.approx(n / time, rel=0.35)


def test_the_effective_size_of_ordinary_and_odd_series() -> None:
    rng = np.random.default_rng(1)
    sizes = [stats.effective_size(rng.standard_normal(200)) for _ in range(100)]
    assert np.median(sizes) > 170
    assert max(sizes) <= 200
    assert stats.effective_size(np.arange(200.0)) < 5
    assert stats.effective_size(np.tile([1.0, 2.0], 50)) == 100.0
    assert [stats.effective_size(x) for x in ([5.0], [1.0, 2.0], [5.0] * 20)] == [1.0, 2.0, 20.0]


def test_runs_that_differ_widen_the_interval_by_students_t() -> None:
    """Against Student's formula on the log medians, where they differ by far more than their samples."""
    rng = np.random.default_rng(4)
    offsets = ((-0.10, 0.02, 0.08), (0.01, 0.11, -0.05))
    base, new = ([np.exp(o + 0.001 * rng.standard_normal(50)) for o in side] for side in offsets)
    found = stats.ratio_of_runs(new, base, paired=False)
    medians = [[float(np.median(np.log(run))) for run in side] for side in (new, base)]
    expected = scipy.stats.ttest_ind(*medians).confidence_interval(0.95)
    assert math.log(found.ratio.low) == pytest.approx(expected.low, rel=1e-6)
    assert math.log(found.ratio.high) == pytest.approx(expected.high, rel=1e-6)
    assert math.log(found.reach) > expected.high - expected.low
    pairs = stats.ratio_of_runs(new, base, paired=True).ratio
    each = [float(np.median(np.log(y / x))) for x, y in zip(base, new, strict=True)]
    one = scipy.stats.ttest_1samp(each, 0.0).confidence_interval(0.95)
    assert math.log(pairs.low) == pytest.approx(one.low, rel=1e-6)
    assert stats.middle(base) == pytest.approx(math.exp(float(np.mean(medians[1]))))


def _bounds(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    interval = stats.median_ratio(x, y, paired=False)
    return interval.low, interval.high


def test_pairing_cancels_what_slows_both() -> None:
    rng = np.random.default_rng(2)
    common = np.linspace(1.0, 1.5, 60) * rng.lognormal(0.0, 0.1, 60)
    x, y = common * rng.lognormal(0.0, 0.005, 60), 1.1 * common * rng.lognormal(0.0, 0.005, 60)
    paired, unpaired = (stats.median_ratio(y, x, paired=flag) for flag in (True, False))
    assert paired.estimate == pytest.approx(1.1, rel=0.01)
    assert paired.high - paired.low < 0.2 * (unpaired.high - unpaired.low)


def test_same_seed_same_interval_and_ratio_turns_around() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.lognormal(0, 0.1, 50), rng.lognormal(0, 0.1, 50)
    assert stats.median_ratio(x, y, paired=False, seed=4) == stats.median_ratio(x, y, paired=False, seed=4)
    there, back = stats.median_ratio(x, y, paired=True), stats.median_ratio(y, x, paired=True)
    assert there.estimate * back.estimate == pytest.approx(1.0)


def test_a_million_samples_cost_no_more_memory_than_they_are() -> None:
    x = np.random.default_rng(0).lognormal(0.0, 0.1, 1_000_000)
    interval = stats.median_ratio(x, x * 1.02, paired=False)
    assert math.isclose(interval.estimate, 1 / 1.02, rel_tol=1e-9)
    assert interval.high - interval.low < 0.002


def test_unequal_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="equally many"):
        stats.median_ratio([1.0, 2.0], [1.0], paired=True)


def test_quantile_and_spread() -> None:
    assert stats.quantile([1, 2, 3, 4, 5], 0.9) == pytest.approx(4.6)
    assert stats.spread([8, 9, 10, 11, 12]) == pytest.approx(0.2)
