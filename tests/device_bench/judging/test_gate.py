"""The one loop of every gate: measure, compare, and measure again only before something is called slower."""

from __future__ import annotations

import pytest
from fake_device import results_of

from device_bench import Measurement, Results
from device_bench.judging.gate import against, measure_and_compare


@pytest.mark.parametrize(
    ("runs", "outcome"), [([4.0], "ok"), ([5.0, 5.0], "regression"), ([5.0, 4.0], "inconclusive"), ([3.0], "ok")]
)
def test_a_second_run_confirms_or_refutes(runs: list[float], outcome: str) -> None:
    asked: list[int] = []

    def measure(run: int) -> Measurement:
        asked.append(run)
        return Measurement(results_of(10 + run, sparse=runs[run]))

    gated = measure_and_compare(measure, against(results_of(1, sparse=4.0)))
    assert gated.verdict.outcome == outcome
    assert asked == list(range(len(runs)))
    assert gated.measurement.summary("sparse").p50 == pytest.approx(runs[0], rel=0.02)


def test_both_sides_of_one_run() -> None:
    def measure(run: int) -> Measurement:
        return Measurement(results_of(run, base=4.0, new=5.0))

    def sides(results: Results) -> tuple[Results, Results]:
        base, new = (results.benchmark(name).model_copy(update={"name": "sparse"}) for name in ("base", "new"))
        return Results(benchmarks=(base,)), Results(benchmarks=(new,))

    verdict = measure_and_compare(measure, sides, paired=True, max_regression="5%").verdict
    assert verdict.outcome == "regression"
    assert "a second run agrees" in verdict.models[0].reason
