"""Facts about a network's layers that allocations use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chita_edge.network.macs import multiplications
from chita_edge.pruning import LayerFacts

if TYPE_CHECKING:
    from torch import nn

    from chita_edge.engine.plan import PruningPlan
    from chita_edge.network.inputs import Batch


def layer_facts(dense: nn.Module, pruned: nn.Module, plan: PruningPlan, image: Batch) -> LayerFacts:
    """Facts about the layers, for the allocations.

    Args:
        dense: its layers' multiply–accumulates count.
        pruned: its weights count, as they are before the next choice.
        plan: the prunable weights, and what they cost.
        image: one, (1, channels, height, width).
    """
    table = plan.config.cost_table
    parameters = dict(pruned.named_parameters())
    return LayerFacts(
        weights=tuple(parameters[name].detach().cpu() for name in plan.names),
        macs=tuple(multiplications(dense, plan.names, image).values()),
        cost_points=None if table is None else tuple(table[name] for name in plan.names),
        cost_sparsity=plan.config.cost_sparsity,
    )
