"""Candidates, the halving of what they cost, and their metric."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chita_edge.deploy.candidates import DRAFTS, Candidate, drop_of, halve
from chita_edge.deploy.metric import ACCURACY, RELATIVE_ERROR, SQUARED_ERROR, Metric


@given(allowed=st.floats(1.0, 100.0), fastest=st.floats(1.0, 50.0), ratio=st.floats(1.0, 20.0))
def test_halving_closes_in_on_the_least_cost_that_is_good_enough(allowed: float, fastest: float, ratio: float) -> None:
    tried: list[float] = []

    def good(cost: float) -> bool:
        tried.append(cost)
        return cost >= allowed

    slowest = fastest * ratio
    halve(good, fastest, slowest)
    assert len(tried) <= DRAFTS
    assert all(fastest <= cost <= slowest for cost in tried)
    left_over = max(ratio ** (0.5 ** len(tried)), 1.0)
    if fastest < allowed < slowest:
        best = min((cost for cost in tried if cost >= allowed), default=slowest)
        assert best / allowed <= left_over * (1 + 1e-9)
    assert len(tried) == DRAFTS or left_over < 1.03 * (1 + 1e-9)


def test_costs_that_are_alike_are_not_told_apart() -> None:
    tried: list[float] = []
    halve(lambda cost: tried.append(cost) is None, 10.0, 10.2)
    assert tried == []
    halve(lambda cost: tried.append(cost) is not None, 1.0, 16.0, most=2)
    assert tried == pytest.approx([4.0, 8.0])


def test_a_candidate_is_plain_numbers() -> None:
    told = Candidate("1x4 and 2x4", 0.8, 3.0, "µs", draft=True).to_json()
    assert told["structure"] == "1x4 and 2x4" and told["draft"] and told["dtype"] == "int8"


def test_the_drop_is_in_points_of_shares_and_in_per_cent_of_others() -> None:
    assert drop_of(ACCURACY, 0.9, 0.89) == pytest.approx(1.0)
    assert drop_of(ACCURACY, 0.9, 0.91) == pytest.approx(-1.0)
    assert drop_of(SQUARED_ERROR, 2.0, 2.1) == pytest.approx(5.0)
    assert drop_of(RELATIVE_ERROR, 0.0, 0.02) == pytest.approx(2.0)
    assert drop_of(Metric("f1", "higher"), 0.5, 0.4) == pytest.approx(20.0)
    assert math.isfinite(drop_of(RELATIVE_ERROR, 0.0, 0.0))
