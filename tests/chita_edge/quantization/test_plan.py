from __future__ import annotations

from dataclasses import replace

import pytest
from small_networks import SmallMobile, SmallResidual, pictures, settled

from chita_edge.pruning import InfeasibleBudgetError
from chita_edge.quantization import CompressionConfig, prepare, trace
from chita_edge.quantization.plan import default_prunable, layer_constraints

CONFIG = CompressionConfig(rows=400, curvature_images=10)


def test_stem_depthwise_groups_and_classifier_keep_all_weights() -> None:
    assert default_prunable(trace(settled(SmallMobile))) == ("point.0", "last.0")
    assert default_prunable(trace(settled(SmallResidual))) == ("first", "second", "shortcut", "branch")


@pytest.mark.parametrize("budget", ["weights", "multiplications"])
def test_budgets_are_kept_in_their_unit(budget: str) -> None:
    plan = prepare(settled(SmallResidual), pictures(20), CONFIG)
    config = replace(CONFIG, sparsity=0.4, budget=budget)  # type: ignore[arg-type]
    curves = plan.curves["1x4"]
    shares = {name: part.total / curves[name].weights for name, part in layer_constraints(plan, config).items()}
    unit = "weights" if budget == "weights" else "multiplications"
    costs = {name: getattr(curve, unit) for name, curve in curves.items()}
    fixed = plan.fixed_multiplications if unit == "multiplications" else 0
    share = (fixed + sum(shares[name] * costs[name] for name in shares)) / (fixed + sum(costs.values()))
    assert 0.55 < share <= 0.6
    # stem 12² · 27 · 8, classifier 24 · 5
    assert plan.fixed_multiplications == 144 * 27 * 8 + 24 * 5


def test_a_budget_below_what_the_other_layers_cost_is_refused() -> None:
    plan = prepare(settled(SmallResidual), pictures(20), CONFIG)
    with pytest.raises(InfeasibleBudgetError, match="Ask for less"):
        layer_constraints(plan, replace(CONFIG, sparsity=0.9, budget="multiplications"))
    assert layer_constraints(plan, replace(CONFIG, sparsity=0.0)) == {}


def test_layers_are_named_with_or_without_weight() -> None:
    model, images = settled(SmallResidual), pictures(10)
    assert (
        prepare(model, images, CONFIG, ["first.weight"]).prunable == prepare(model, images, CONFIG, ["first"]).prunable
    )
