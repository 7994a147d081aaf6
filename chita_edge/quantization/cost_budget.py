"""Budget of a network in a target's cost, each layer in the structure and at the density that serve it best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from chita_edge.pruning import Constraint, get_pattern
from chita_edge.quantization.budgets import BY_COST, LEVELS, best_choices, losses_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from chita_edge.quantization.plan import Plan


@dataclass(frozen=True)
class LayerCosts:
    """Cost of one layer on a target in each form, for one image.

    Attributes:
        dense: with all its weights.
        blocks: by structure of its zeros, at the densities `LEVELS`.
    """

    dense: float
    blocks: Mapping[str, NDArray[np.float64]]

    def at(self, structure: str, density: float) -> float:
        """Of the cheaper form at a density."""
        return min(self.dense, float(np.interp(density, LEVELS, self.blocks[structure])))


def cost_constraints(plan: Plan, costs: Mapping[str, LayerCosts], allowed: float) -> dict[str, Constraint]:
    """Pattern and budget of the prunable layers that make the expected loss least at a total cost of ``allowed``.

    A layer of which no weight goes has none. The expected loss is that of `share_budget`, of which this is the general
    case: a layer has an option for each structure and density.

    Args:
        plan: with curves of the structures.
        costs: of the prunable layers.
        allowed: what they may cost together.

    Raises:
        InfeasibleBudgetError: at a density of 1 % they cost more.
    """
    structures = list(plan.curves)
    losses, prices = [], []
    for name in plan.prunable:
        of_layer = [losses_at(plan.curves[structure][name], BY_COST) for structure in structures]
        losses.append(np.concatenate(of_layer))
        blocks = np.concatenate([costs[name].blocks[structure] for structure in structures])
        blocks[len(LEVELS) - 1 :: len(LEVELS)] = costs[name].dense  # nothing goes
        prices.append(np.minimum(blocks, costs[name].dense))
    found = {}
    for name, option in zip(plan.prunable, best_choices(losses, prices, allowed), strict=True):
        structure, level = structures[option // len(LEVELS)], option % len(LEVELS)
        if level + 1 < len(LEVELS):
            weight = plan.graph.layers[name].weight
            keep = int(float(LEVELS[level]) * weight.numel() + 1e-6)
            found[name] = Constraint(get_pattern(structure), (weight.shape,), (keep,))
    return found
