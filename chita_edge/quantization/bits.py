"""Choice of the layers whose weights keep eight bits where the others have fewer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chita_edge.quantization.budgets import BY_WEIGHTS, ROUNDED_BITS, Curve, best_choices

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chita_edge.pruning import Constraint
    from chita_edge.quantization.config import CompressionConfig
    from chita_edge.quantization.plan import Plan

MOST_BITS = 8


def share_bits(plan: Plan, config: CompressionConfig, constraints: Mapping[str, Constraint]) -> dict[str, int]:
    """Bits of each layer's weights.

    Without ``mean_bits`` all have ``weight_bits``. With it each prunable layer has ``weight_bits`` or eight, so that
    the weights that are kept have ``mean_bits`` on average at most, and Σ λ e is least: e the squared error of the
    layer's outputs that rounding makes, relative to their variance, λ as in `share_budget`. The other layers, of few
    weights each (stem, depthwise, classifier), keep eight.

    Args:
        plan: with the curves of the structure.
        config: options.
        constraints: of the layers that lose weights.
    """
    layers = plan.graph.layers
    if config.mean_bits is None:
        return dict.fromkeys(layers, config.weight_bits)
    found = dict.fromkeys(layers, MOST_BITS)
    few, curves = config.weight_bits, next(iter(plan.curves.values()))
    kept = {
        name: constraints[name].total if name in constraints else layers[name].weight.numel() for name in plan.prunable
    }
    more = (config.mean_bits - few) * sum(kept.values())
    losses = [np.array([_loss(curves[name], bits) for bits in (few, MOST_BITS)]) for name in plan.prunable]
    costs = [np.array([0.0, float((MOST_BITS - few) * kept[name])]) for name in plan.prunable]
    choices = best_choices(losses, costs, more) if more > 0 else [0] * len(costs)
    return found | {name: few for name, choice in zip(plan.prunable, choices, strict=True) if choice == 0}


def _loss(curve: Curve, bits: int) -> float:
    """λ e; each bit makes the squared error a quarter."""
    weight = max(curve.sensitivity, 1e-30) ** BY_WEIGHTS[0] * curve.weights ** BY_WEIGHTS[1]
    return float(weight * curve.rounding * 4.0 ** (ROUNDED_BITS - bits))
