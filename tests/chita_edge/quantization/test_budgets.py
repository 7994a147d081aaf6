from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from small_networks import SmallResidual, pictures, settled

from chita_edge.pruning import InfeasibleBudgetError, get_pattern
from chita_edge.quantization import trace
from chita_edge.quantization.budgets import DENSITIES, Curve, _errors_at, best_choices, measure_curves, share_budget
from chita_edge.quantization.curvature import fisher
from chita_edge.quantization.equalise import equalise


def curve(steepness: float, sensitivity: float, weights: int) -> Curve:
    return Curve(tuple(float(np.exp(-steepness * d)) for d in DENSITIES), sensitivity, weights, 10 * weights)


def test_is_the_best_of_all_shares() -> None:
    curves = [curve(3, 1.0, 100), curve(8, 0.2, 400), curve(5, 3.0, 50)]
    costs = [float(c.weights) for c in curves]
    allowed = 0.3 * sum(costs)
    found = share_budget(curves, costs, allowed)
    grid = np.linspace(0.01, 1, 100)
    losses = [c.sensitivity**0.6 * c.weights**0.5 * _errors_at(c, grid) for c in curves]
    best = np.inf
    for i, j in product(range(100), range(100)):
        rest = (allowed - grid[i] * costs[0] - grid[j] * costs[1]) / costs[2]
        if rest >= 0.01:
            k = min(99, int(rest * 100 + 1e-9) - 1)
            best = min(best, losses[0][i] + losses[1][j] + losses[2][k])
    total = sum(float(loss[round(d * 100) - 1]) for loss, d in zip(losses, found, strict=True))
    assert sum(d * c for d, c in zip(found, costs, strict=True)) <= allowed * 1.0001
    assert total <= best * 1.01


def test_a_budget_for_everything_keeps_everything_and_too_small_ones_are_refused() -> None:
    curves = [curve(3, 1.0, 100), curve(8, 0.2, 400)]
    assert share_budget(curves, [1.0, 4.0], 5.0) == [1.0, 1.0]
    for allowed in (0.0, -3.0, 0.01):
        with pytest.raises(InfeasibleBudgetError, match="less than 1 %"):
            share_budget(curves, [1.0, 4.0], allowed)


def test_curves_fall_and_do_not_change_with_the_channels_scale() -> None:
    graph, images = trace(settled(SmallResidual)), pictures(30)
    names = ["first", "second"]
    curves = []
    for network in (graph, equalise(graph, images)):
        curvatures = fisher(network, images, names)
        patterns = {name: get_pattern(name) for name in ("1x4", "2x4")}
        both = measure_curves(network, images, names, patterns, curvatures, rows=4000, ridge=1e-6)
        curves.append(both["1x4"])
        for name in names:  # a block of two outputs is chosen less freely
            assert sum(both["2x4"][name].errors) > sum(both["1x4"][name].errors)
    for name in names:
        first, second = (c[name] for c in curves)
        assert all(a >= b - 1e-3 for a, b in zip(first.errors, first.errors[1:], strict=False))
        assert 0 <= first.errors[-1] < 0.2 and first.errors[0] > 0.3
        assert first.sensitivity == pytest.approx(second.sensitivity, rel=1e-2)
        assert first.errors == pytest.approx(second.errors, abs=0.05)
    assert curves[0]["first"].multiplications == 12 * 8 * 9 * 36


def test_choices_are_the_best_of_all_options() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        losses = [rng.random(4) for _ in range(3)]
        costs = [rng.integers(1, 50, 4).astype(float) for _ in range(3)]
        allowed = 1.01 * float(sum(cost.min() for cost in costs) + rng.integers(0, 60))
        found = best_choices(losses, costs, allowed)
        every = [
            sum(loss[option] for loss, option in zip(losses, options, strict=True))
            for options in product(range(4), repeat=3)
            # Each of three costs is rounded up to 1/4,000 of what is allowed.
            if sum(cost[option] for cost, option in zip(costs, options, strict=True)) <= allowed * 0.999
        ]
        total = sum(loss[option] for loss, option in zip(losses, found, strict=True))
        assert sum(cost[option] for cost, option in zip(costs, found, strict=True)) <= allowed
        assert total <= min(every) + 1e-9


def test_measured_errors_that_rise_are_taken_as_level() -> None:
    flat = Curve((1.2, 0.9, 0.95, 0.5, 0.4, 0.0, 0.0), 0.0, 10, 10)
    errors = _errors_at(flat, np.linspace(0, 1, 50))
    assert bool((np.diff(errors) <= 1e-12).all()) and errors[0] == 1 and errors[-1] == 0
    assert share_budget([flat], [10.0], 5.0)[0] <= 0.5
