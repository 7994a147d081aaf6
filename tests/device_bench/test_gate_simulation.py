"""How often the gate cries wolf, and how often it sees the wolf, on simulated noise.

The gate is set to 2 %, samples have 2 % noise. Counted are false alarms without any change, and the share of 5 %
slowdowns that is found, a second run included.
"""

from __future__ import annotations

import numpy as np
import pytest

from device_bench.compare import compare
from device_bench.results import Benchmark, Results

SAMPLES = 200


def run(rng: np.random.Generator, kind: str, scale: float) -> Results:
    x = scale * rng.lognormal(0.0, 0.02, SAMPLES)
    if kind in ("drift", "everything"):  # warms up by as much as 4 %, each time by another amount
        x *= np.linspace(1.0, 1.0 + rng.uniform(0.0, 0.04), SAMPLES)
    if kind in ("outliers", "everything"):  # one in twenty, twice as slow on average
        x[rng.random(SAMPLES) < 0.05] *= 1.0 + rng.exponential(1.0)
    if kind in ("two modes", "everything"):  # one in seven on a slower core
        x[rng.random(SAMPLES) < 0.15] *= 1.10
    if kind == "throttling" and rng.random() < 0.5:  # at some moment the clock drops for good
        x[rng.integers(20, SAMPLES - 20) :] *= 1.15
    if kind == "stretches":  # noise with a memory
        steps = rng.standard_normal(SAMPLES)
        for i in range(1, SAMPLES):
            steps[i] = 0.7 * steps[i - 1] + 0.714 * steps[i]
        x = scale * np.exp(0.02 * steps)
    if kind == "half and half":
        x[rng.random(SAMPLES) < 0.5] *= 1.2
    return Results(benchmarks=(Benchmark.model_construct(name="m", time_unit="ms", samples=tuple(x.tolist())),))


def outcomes(kind: str, slowdown: float, trials: int) -> dict[str, float]:
    counts = dict.fromkeys(("ok", "regression", "inconclusive"), 0)
    for trial in range(trials):
        rng = np.random.default_rng(trial)
        base, new = run(rng, kind, 4.0), run(rng, kind, 4.0 * slowdown)
        verdict = compare(base, new, max_regression=0.02, again=lambda: run(rng, kind, 4.0 * slowdown))  # noqa: B023
        counts[verdict.outcome] += 1
    return {outcome: count / trials for outcome, count in counts.items()}


@pytest.mark.parametrize(
    ("kind", "trials"),
    [
        ("everything", 1000),
        ("drift", 100),
        ("outliers", 100),
        ("two modes", 100),
        ("throttling", 100),
        ("stretches", 100),
    ],
)
def test_at_most_one_false_alarm_in_a_hundred(kind: str, trials: int) -> None:
    assert outcomes(kind, 1.0, trials)["regression"] <= 0.01


@pytest.mark.parametrize(
    ("kind", "trials"),
    [("quiet", 100), ("everything", 300), ("drift", 100), ("outliers", 100), ("two modes", 100), ("stretches", 100)],
)
def test_a_slowdown_of_five_percent_is_found(kind: str, trials: int) -> None:
    assert outcomes(kind, 1.05, trials)["regression"] >= 0.95


def test_a_quiet_machine_gets_its_answer_and_an_unfit_one_none() -> None:
    assert outcomes("quiet", 1.0, 100)["ok"] >= 0.99
    assert outcomes("half and half", 1.05, 50)["inconclusive"] == 1.0
