"""What a budget may ask about a network's layers, from the network and the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chita_edge.errors import UsageError
from chita_edge.network.macs import multiplications
from chita_edge.pruning import LayerFacts

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from torch import nn

    from chita_edge.prune_config import PruneConfig


def layer_facts(
    dense: nn.Module, pruned: nn.Module, names: Sequence[str], config: PruneConfig, image: torch.Tensor
) -> LayerFacts:
    """What allocations may ask about the layers.

    Args:
        dense: its layers' multiply–accumulates count.
        pruned: its weights count, as they are before the next choice.
        names: the prunable weights.
        config: allocation, costs.
        image: one, (1, channels, height, width).

    Raises:
        UsageError: an option of costs is missing, is of no use to the allocation, or names other weights.
    """
    table = config.cost_table
    if table is None and config.allocation == "latency":
        raise UsageError(
            "The allocation 'latency' needs a cost table: the option cost_table of the configuration gives "
            "(density, cost) pairs for each prunable weight's name."
        )
    for option, value, users in (
        ("cost_table", table, ("latency",)),
        ("cost_sparsity", config.cost_sparsity, ("flops", "latency")),
    ):
        if value is not None and config.allocation not in users:
            raise UsageError(
                f"The option {option} is for the allocation {' or '.join(users)}; this one is {config.allocation}."
            )
    if table is not None and set(table) != set(names):
        unlike = ", ".join(sorted(set(table) ^ set(names))[:3])
        raise UsageError(f"The cost table has to name exactly the prunable weights; it differs by {unlike}.")
    parameters = dict(pruned.named_parameters())
    return LayerFacts(
        weights=tuple(parameters[name].detach() for name in names),
        macs=tuple(multiplications(dense, names, image).values()),
        cost_points=None if table is None else tuple(table[name] for name in names),
        cost_sparsity=config.cost_sparsity,
    )
