"""Budgets in multiplications beside one in weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chita_edge.pruning.allocation.budgets import global_budget
from chita_edge.pruning.allocation.costed import costed_budget
from chita_edge.pruning.allocation.facts import NOTHING, LayerFacts, given_weights
from chita_edge.pruning.errors import InfeasibleBudgetError, PruningError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch


def flops_budget(shapes: Sequence[torch.Size], sparsity: float, facts: LayerFacts = NOTHING) -> tuple[int, ...]:
    """The largest weights of the network within a budget of weights and one of multiplications.

    A weight of a layer with many output positions costs more multiplications and has to be larger to stay. Without
    ``facts.cost_sparsity`` the share of multiplications that goes is that of the weights.
    """
    kept = global_budget(tuple(shapes), sparsity)
    weights = given_weights(facts, len(shapes), "flops")
    macs = facts.macs
    if macs is None or len(macs) != len(shapes):
        raise PruningError(f"The allocation 'flops' needs the multiplications of all {len(shapes)} layers.")
    limit = (1 - share_of(facts, sparsity)) * sum(macs)
    return costed_budget(weights, kept, lambda layer, density: macs[layer] * density, limit)


def share_of(facts: LayerFacts, sparsity: float) -> float:
    """The share of the cost that has to go.

    Raises:
        InfeasibleBudgetError: it is outside [0, 1).
    """
    share = sparsity if facts.cost_sparsity is None else facts.cost_sparsity
    if not 0 <= share < 1:
        raise InfeasibleBudgetError(f"A cost sparsity of {share} is outside [0, 1): it is the share of cost that goes.")
    return share
