"""The cheapest choice of layouts against all choices."""

import itertools
import math

import numpy as np
import pytest

from chita_edge.deploy.layouts import cheapest, price


def by_trying_all(costs: dict, links: list) -> float:
    names = sorted(costs)
    subsets = (frozenset(itertools.compress(names, bits)) for bits in itertools.product((0, 1), repeat=len(names)))
    return min(price(costs, links, subset) for subset in subsets)


@pytest.mark.parametrize("seed", range(40))
def test_no_choice_is_cheaper(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = [f"layer{i}" for i in range(rng.integers(1, 9))]
    costs = {name: (float(rng.integers(0, 20)), float(rng.integers(0, 20))) for name in names}
    if seed % 3 == 0:
        costs[names[0]] = (math.inf, costs[names[0]][1])
    links = [(str(rng.choice(names)), str(rng.choice(names)), float(rng.integers(0, 10))) for _ in names]
    links = [(a, b, cost) for a, b, cost in links if a != b]
    ours, total = cheapest(costs, links)
    assert total == price(costs, links, ours) == by_trying_all(costs, links)


def test_a_lonely_cheap_layer_is_not_worth_two_reorders() -> None:
    costs = {"a": (10.0, 5.0), "b": (4.0, 6.0), "c": (10.0, 5.0)}
    assert cheapest(costs, [("a", "b", 2.0), ("b", "c", 2.0)]) == (frozenset(), 16.0)
    assert cheapest(costs, [("a", "b", 0.5), ("b", "c", 0.5)]) == (frozenset({"b"}), 15.0)


def test_a_layer_that_loses_a_little_follows_its_neighbours() -> None:
    costs = {"a": (1.0, 9.0), "b": (6.0, 5.0), "c": (1.0, 9.0)}
    assert cheapest(costs, [("a", "b", 1.0), ("b", "c", 1.0)]) == (frozenset("abc"), 8.0)


def test_links_to_others_are_passed_over() -> None:
    assert cheapest({"a": (1.0, 2.0)}, [("a", "pool", 9.0), ("image", "a", 9.0)]) == (frozenset({"a"}), 1.0)


def test_costs_of_any_size_are_told_apart() -> None:
    for unit in (1e-9, 1.0, 1e9):
        costs = {f"{number}": (unit * (1 + 1e-5 * (-1) ** number), unit) for number in range(300)}
        ours, _ = cheapest(costs, [])
        assert ours == {name for name in costs if int(name) % 2}
    assert cheapest({}, []) == (frozenset(), 0)
    assert cheapest({"a": (0.0, 0.0)}, [])[1] == 0.0
