"""The search for the fastest network that is accurate enough, with networks that drop what a test says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from small_networks import SmallMobile, pictures, settled
from torch import nn

from chita_edge.deploy.candidates import Candidate
from chita_edge.deploy.choice import Alternative, Choice, Search
from chita_edge.deploy.int8_costs import Int8Costs, NetworkCosts
from chita_edge.deploy.metric import ACCURACY
from chita_edge.quantization import CompressionConfig, Plan, prepare
from runtimes.int8_costs import Int8Rates

STRUCTURES = ("1x4", "2x4")
RATES = Int8Rates("µs", {"dense": 1.0, "1x4": 1.2, "2x4": 1.0, "depthwise": 0.01}, 0.1, 0.1, 10.0)


@dataclass
class Bench:
    """A judge and maker in one: a network is its predicted cost and whether it is a draft."""

    costs: NetworkCosts
    drop: Callable[[float, bool], float]
    metric: Any = ACCURACY
    samples: range = range(1 << 62)
    drafts: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)

    def network(self, network: Any) -> float:
        return 0.9 if isinstance(network, nn.Module) else 0.9 - self.drop(*network) / 100

    def made(self, constraints: Any, _called: str, *, draft: bool = False) -> Any:
        predicted = self.costs.predicted(constraints)
        (self.drafts if draft else self.whole).append(predicted)
        return predicted, draft


@pytest.fixture(scope="module")
def plan() -> Plan:
    config = CompressionConfig(rows=400, curvature_images=8, activation_rounds=0)
    return prepare(settled(SmallMobile), pictures(20), config, structures=STRUCTURES)


@pytest.fixture(scope="module")
def costs(plan: Plan) -> NetworkCosts:
    return Int8Costs(RATES).network(plan.graph, pictures(1), plan.prunable, STRUCTURES)


def search(
    plan: Plan, costs: NetworkCosts, drop: Callable[[float, bool], float], alternative: Alternative | None = None
) -> tuple[Choice, Bench]:
    bench = Bench(costs, drop)
    found = Search(plan, costs, "µs", cast("Any", bench), nn.Identity(), 1.0, cast("Any", bench.made), alternative)
    return found.run(), bench


def middle(costs: NetworkCosts) -> float:
    """A cost that halving looks around."""
    return float((costs.least(0.04) + 2 * costs.dense) / 3)


def check(choice: Choice) -> Candidate:
    """What holds of every choice; the chosen one."""
    assert len(choice.candidates) <= 6
    predicted = [one.predicted for one in choice.candidates]
    assert predicted == sorted(predicted)
    (chosen,) = (one for one in choice.candidates if one.chosen)
    return chosen


def test_the_fastest_within_the_drop_is_made_once(plan: Plan, costs: NetworkCosts) -> None:
    limit = middle(costs)
    choice, bench = search(plan, costs, lambda cost, draft: (0.5 if cost >= limit else 3.0) + 0.2 * draft)
    chosen = check(choice)
    assert limit <= chosen.predicted < 1.15 * limit
    assert bench.whole == [chosen.predicted] and not chosen.draft
    assert 1 <= len(bench.drafts) <= 4 and choice.network is not None and choice.remarks == ()
    assert chosen.drop == pytest.approx(0.5)
    slower = [one for one in choice.candidates if one.predicted > chosen.predicted]
    assert all(one.draft or one.drop is None for one in slower)


def test_where_a_draft_promised_too_much_the_next_slower_one_is_made(plan: Plan, costs: NetworkCosts) -> None:
    limit = middle(costs)
    choice, bench = search(plan, costs, lambda cost, draft: 0.5 if draft or cost >= limit else 1.5)
    chosen = check(choice)
    assert chosen.predicted >= limit and len(bench.whole) > 1
    assert bench.whole == sorted(bench.whole)
    assert all(one.drop == pytest.approx(1.5) for one in choice.candidates if one.predicted < chosen.predicted)


def test_one_more_is_made_before_all_weights_are_kept(plan: Plan, costs: NetworkCosts) -> None:
    limit = (costs.least(0.06) * costs.dense**7) ** (1 / 8)  # dearer than every draft
    choice, bench = search(plan, costs, lambda cost, draft: 0.5 if draft or cost >= limit else 1.5)
    chosen = check(choice)
    fastest = min(bench.drafts)
    assert bench.whole[0] == fastest
    assert bench.whole[0] < bench.whole[1] < 1.5 * bench.whole[0]
    assert bench.whole == sorted(bench.whole) and chosen.predicted >= limit


@pytest.mark.parametrize(("samples", "allowed"), [(100, 0.5), (2500, 0.9), (1 << 62, 1.0)])
def test_few_samples_allow_less(plan: Plan, costs: NetworkCosts, samples: int, allowed: float) -> None:
    for drop, good in ((allowed - 0.01, True), (allowed + 0.01, False)):
        bench = Bench(costs, lambda cost, draft, drop=drop: 0.0 if draft or cost >= costs.dense else drop)  # type: ignore[misc]
        bench.samples = range(samples)
        found = Search(plan, costs, "µs", cast("Any", bench), nn.Identity(), 1.0, cast("Any", bench.made)).run()
        assert (check(found).structure != "dense") == good
        assert found.remarks == ()


def test_a_drop_is_not_judged_by_its_last_bits(plan: Plan, costs: NetworkCosts) -> None:
    assert 100 * (0.9 - 0.89) > 1.0  # and is one point
    choice, bench = search(plan, costs, lambda _cost, _draft: 100 * (0.9 - 0.89))
    assert check(choice).predicted == min(bench.drafts) and len(bench.whole) == 1


def test_all_weights_are_the_last_resort(plan: Plan, costs: NetworkCosts) -> None:
    choice, _ = search(plan, costs, lambda cost, _draft: 0.9 if cost >= costs.dense else 4.0)
    chosen = check(choice)
    assert (chosen.structure, chosen.sparsity, chosen.predicted) == ("dense", 0.0, costs.dense)
    assert choice.remarks == () and choice.structure == "1x4"


def test_where_none_stays_within_the_drop_the_closest_is_taken_and_said_to_be(plan: Plan, costs: NetworkCosts) -> None:
    choice, _ = search(plan, costs, lambda _cost, draft: 1.2 if draft else 2.0)
    assert check(choice).drop == pytest.approx(2.0)
    assert "No candidate stays within 1 of the dense network" in choice.remarks[0]


@pytest.mark.parametrize(
    ("predicted", "int8_drop", "float32_drop", "taken"),
    [
        (1e9, 0.5, 0.0, "int8"),  # slower, and not needed
        (1e9, 5.0, 0.5, "float32"),
        (1e9, 5.0, 3.0, "float32"),  # closer, though not good
        (1e9, 2.0, 4.0, "int8"),
        (1.0, 0.5, 0.5, "float32"),  # faster
        (1.0, 0.5, 1.5, "int8"),
    ],
)
def test_float32_is_taken_where_it_is_faster_or_int8_is_not_good_enough(
    plan: Plan, costs: NetworkCosts, predicted: float, int8_drop: float, float32_drop: float, taken: str
) -> None:
    made: list[int] = []

    def draft() -> Any:
        made.append(1)
        return -1.0, True

    other = Alternative(Candidate("unstructured", 0.8, predicted, "µs", dtype="float32"), draft)
    choice, _ = search(plan, costs, lambda cost, _draft: float32_drop if cost < 0 else int8_drop, other)
    chosen = check(choice)
    assert chosen.dtype == taken
    assert (choice.network is None) == (taken == "float32")
    assert len(made) == (predicted == 1.0 or int8_drop > 1.0)
    (row,) = (one for one in choice.candidates if one.dtype == "float32")
    assert (row.drop is not None) == bool(made)
