"""Budgets in a device's time, from a table of costs by layer and density."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chita_edge.pruning.allocation.budgets import global_budget
from chita_edge.pruning.allocation.costed import costed_budget
from chita_edge.pruning.allocation.facts import NOTHING, LayerFacts, given_weights
from chita_edge.pruning.allocation.flops import share_of
from chita_edge.pruning.errors import PruningError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch


def latency_budget(shapes: Sequence[torch.Size], sparsity: float, facts: LayerFacts = NOTHING) -> tuple[int, ...]:
    """The largest weights of the network within a budget of weights and one of the table's costs.

    The dense network's cost is each layer's at its largest density in the table.

    Raises:
        PruningError: no table, or one that is empty, unsorted or not finite for some layer.
    """
    kept = global_budget(tuple(shapes), sparsity)
    weights = given_weights(facts, len(shapes), "latency")
    table = facts.cost_points
    if table is None or len(table) != len(shapes):
        raise PruningError(f"The allocation 'latency' needs a cost table for all {len(shapes)} layers.")
    curves = [np.asarray(points, dtype=np.float64).reshape(-1, 2) for points in table]
    for number, curve in enumerate(curves):
        if not len(curve) or not np.isfinite(curve).all() or (np.diff(curve[:, 0]) <= 0).any() or (curve < 0).any():
            raise PruningError(
                f"The cost table of layer {number} needs (density, cost) pairs of ascending density, finite and not "
                "negative."
            )
    limit = (1 - share_of(facts, sparsity)) * sum(float(curve[-1, 1]) for curve in curves)
    return costed_budget(
        weights, kept, lambda layer, density: float(np.interp(density, curves[layer][:, 0], curves[layer][:, 1])), limit
    )
