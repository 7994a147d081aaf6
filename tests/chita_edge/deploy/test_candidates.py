"""Choice among candidates, and their metric."""

from __future__ import annotations

import random

import pytest

from chita_edge.deploy.candidates import Candidate, choose, drop_of, worthwhile
from chita_edge.deploy.metric import ACCURACY, RELATIVE_ERROR, SQUARED_ERROR, Metric

CANDIDATES = [
    Candidate("1x4", sparsity, 10 * (1 - sparsity) + 1, "ms") for sparsity in (0.0, 0.5, 0.65, 0.75, 0.85, 0.9)
]


@pytest.mark.parametrize("allowed", [0.9, 0.85, 0.75, 0.65, 0.5, 0.0])
def test_the_fastest_within_the_drop_is_found_with_at_most_three_tried(allowed: float) -> None:
    tried: list[float] = []

    def try_out(candidate: Candidate) -> tuple[float, float]:
        tried.append(candidate.sparsity)
        return 90.0, 0.5 if candidate.sparsity <= allowed else 1.5

    found = choose(CANDIDATES, try_out, 1.0)
    assert [one.sparsity for one in found if one.chosen] == [allowed]
    assert len(tried) <= 3
    assert len(set(tried)) == len(tried)
    assert {one.sparsity for one in found if one.drop is not None} == set(tried)
    assert [one.predicted for one in found] == sorted(one.predicted for one in CANDIDATES)


def test_where_none_stays_within_it_the_closest_is_taken() -> None:
    found = choose(CANDIDATES, lambda one: (80.0, 2.0 + one.sparsity), 1.0)
    assert [one.sparsity for one in found if one.chosen] == [0.0]


def test_those_that_another_beats_in_time_and_loss_are_left_out() -> None:
    rng = random.Random(0)
    for _ in range(50):
        pairs = [(Candidate("1x4", 0.5, rng.choice((1, 2, 3, 5, 8, 9)), "ms"), rng.randrange(9)) for _ in range(12)]
        every = worthwhile(pairs, most=99)
        times = {
            one.predicted
            for one, loss in pairs
            if not any(other.predicted <= one.predicted and less < loss for other, less in pairs)
            and not any(other.predicted < one.predicted and less <= loss for other, less in pairs)
        }
        assert [one.predicted for one in every] == sorted(times)
        some = worthwhile(pairs, most=3)
        assert len(some) == min(3, len(every))
        assert (some[0], some[-1]) == (every[0], every[-1])


def test_what_its_neighbours_nearly_replace_goes_first() -> None:
    pairs = [(Candidate("1x4", 0.5, time, "ms"), 100 - time) for time in (1, 2, 2.1, 4, 8, 16, 32)]
    assert [one.predicted for one in worthwhile(pairs)] == [1, 2, 4, 8, 16, 32]


def test_the_drop_is_in_points_of_shares_and_in_per_cent_of_others() -> None:
    assert drop_of(ACCURACY, 0.9, 0.89) == pytest.approx(1.0)
    assert drop_of(ACCURACY, 0.9, 0.91) == pytest.approx(-1.0)
    assert drop_of(SQUARED_ERROR, 2.0, 2.1) == pytest.approx(5.0)
    assert drop_of(RELATIVE_ERROR, 0.0, 0.02) == pytest.approx(2.0)
    assert drop_of(Metric("f1", "higher"), 0.5, 0.4) == pytest.approx(20.0)
