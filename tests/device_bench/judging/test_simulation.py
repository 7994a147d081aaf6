"""The noise that the gate is tested with is the noise that it claims to be."""

from __future__ import annotations

import numpy as np
import pytest

from device_bench.judging.simulation import KINDS, Noise, outcomes, simulate


def drawn(noise: Noise, seed: int = 0, samples: int = 4000, slowdown: float = 0.0) -> np.ndarray:
    return np.asarray(simulate(np.random.default_rng(seed), noise, samples, slowdown).benchmark("m").samples)


def test_spread_and_slowdown() -> None:
    quiet = drawn(Noise(spread=0.02))
    assert np.log(quiet).std() == pytest.approx(0.02, rel=0.05)
    assert np.median(quiet) == pytest.approx(4.0, rel=0.002)
    assert np.median(drawn(Noise(), slowdown=0.05)) == pytest.approx(4.2, rel=0.002)


def test_outliers_and_modes_have_their_shares() -> None:
    assert (drawn(Noise(outliers=0.05)) > 4.6).mean() == pytest.approx(0.05 * np.exp(-0.15), abs=0.01)
    assert (drawn(Noise(slow_share=0.3, slow_by=0.2)) > 4.4).mean() == pytest.approx(0.3, abs=0.02)


def test_drift_memory_throttling_and_level() -> None:
    ends = [np.median(x[-400:]) / np.median(x[:400]) for x in (drawn(Noise(drift=0.04), seed) for seed in range(40))]
    assert 0.99 < min(ends) < max(ends) < 1.045
    assert np.mean(ends) == pytest.approx(1.02 * 0.998, abs=0.006)
    logs = np.log(drawn(Noise(memory=0.7)))
    assert np.corrcoef(logs[1:], logs[:-1])[0, 1] == pytest.approx(0.7, abs=0.05)
    assert logs.std() == pytest.approx(0.02, rel=0.1)
    throttled = [np.median(x[-40:]) > 4.3 for x in (drawn(Noise(throttled=0.5), seed, 400) for seed in range(60))]
    assert 0.3 < np.mean(throttled) < 0.7
    offsets = [np.median(drawn(Noise(offset=0.01), seed, 400)) for seed in range(60)]
    assert np.log(offsets).std() == pytest.approx(0.01, rel=0.4)


def test_slow_levels_and_walks() -> None:
    logs = np.log(drawn(Noise(level=0.02), samples=40_000))
    assert logs.std() == pytest.approx(0.02 * 2**0.5, rel=0.1)
    assert np.corrcoef(logs[1:], logs[:-1])[0, 1] == pytest.approx(0.5, abs=0.05)
    ends = [np.log(drawn(Noise(spread=0.0, walk=0.002), seed, 200)[-1] / 4.0) for seed in range(200)]
    assert np.std(ends) == pytest.approx(0.002 * 200**0.5, rel=0.15)


def test_processes_have_as_many_samples_and_offsets_of_their_own() -> None:
    found = simulate(np.random.default_rng(0), Noise(offset=0.05, processes=3), 50).benchmark("m")
    assert found.process_samples == (50, 50, 50)
    middles = [np.median(run) for run in found.runs]
    assert np.ptp(middles) > 0.05


def test_outcomes_add_up_and_repeat() -> None:
    first = outcomes(KINDS["quiet"], 0.05, max_regression=0.05, samples=40, trials=20)
    assert sum(first.values()) == pytest.approx(1.0)
    assert first == outcomes(KINDS["quiet"], 0.05, max_regression=0.05, samples=40, trials=20)
