"""Budgets in a target's cost."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from small_networks import SmallResidual, pictures, settled

from chita_edge.pruning import InfeasibleBudgetError
from chita_edge.quantization import CompressionConfig, Plan, compress_plan, prepare
from chita_edge.quantization.budgets import BY_COST, LEVELS, losses_at
from chita_edge.quantization.cost_budget import LayerCosts, cost_constraints

CONFIG = CompressionConfig(rows=400, curvature_images=10, activation_rounds=0)
RATES = {"1x4": 1.3, "2x4": 0.8}


def priced(plan: Plan, dense: float = 1.0) -> dict[str, LayerCosts]:
    """Costs in proportion to a layer's weights, and 10 whatever it has."""
    found = {}
    for name in plan.prunable:
        count = plan.graph.layers[name].weight.numel()
        found[name] = LayerCosts(
            10 + dense * count, {structure: 10 + rate * count * LEVELS for structure, rate in RATES.items()}
        )
    return found


@pytest.fixture(scope="module")
def plan() -> Plan:
    return prepare(settled(SmallResidual), pictures(20), CONFIG, ["first", "second"], structures=tuple(RATES))


def test_is_the_best_of_all_structures_and_densities(plan: Plan) -> None:
    costs = priced(plan)
    allowed = 0.5 * sum(cost.dense for cost in costs.values())
    found = cost_constraints(plan, costs, allowed)

    def loss(name: str, structure: str, level: int) -> float:
        return float(losses_at(plan.curves[structure][name], BY_COST)[level])

    best = min(
        sum(loss(name, *option) for name, option in zip(plan.prunable, options, strict=True))
        for options in product(product(RATES, range(100)), repeat=2)
        if sum(
            costs[name].dense if option[1] == 99 else costs[name].at(option[0], LEVELS[option[1]])
            for name, option in zip(plan.prunable, options, strict=True)
        )
        <= allowed * 0.999
    )
    total = spent = 0.0
    for name, costed in costs.items():
        if name not in found:
            spent += costed.dense
            continue
        structure, size = found[name].pattern.name, plan.graph.layers[name].weight.numel()
        level = next(n for n, density in enumerate(LEVELS) if int(density * size + 1e-6) == found[name].total)
        total += loss(name, structure, level)
        spent += costed.at(structure, LEVELS[level])
    assert spent <= allowed * 1.0001
    assert total <= best * 1.001


def test_a_budget_for_everything_leaves_all_weights_and_too_small_ones_are_refused(plan: Plan) -> None:
    costs = priced(plan)
    assert cost_constraints(plan, costs, sum(cost.dense for cost in costs.values())) == {}
    with pytest.raises(InfeasibleBudgetError, match="Ask for less"):
        cost_constraints(plan, costs, 15.0)


def test_a_structure_that_costs_more_than_all_weights_takes_none(plan: Plan) -> None:
    costs = {
        name: LayerCosts(cost.dense, {"1x4": np.full(100, 2 * cost.dense), "2x4": cost.blocks["2x4"]})
        for name, cost in priced(plan).items()
    }
    found = cost_constraints(plan, costs, 0.4 * sum(cost.dense for cost in costs.values()))
    assert {constraint.pattern.name for constraint in found.values()} == {"2x4"}


def test_a_network_has_the_zeros_of_its_constraints(plan: Plan) -> None:
    found = cost_constraints(plan, priced(plan), 0.4 * sum(cost.dense for cost in priced(plan).values()))
    made = compress_plan(plan, pictures(20), CONFIG, constraints=found)
    for name, constraint in found.items():
        mask = made.masks[name]
        assert int(mask.sum()) <= constraint.total
        assert torch.equal(constraint.project(mask.float().flatten()).view(mask.shape), mask)
    assert all(bool(mask.all()) for name, mask in made.masks.items() if name not in found)
