"""The ways to share a budget among layers, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chita_edge.pruning.allocation.budgets import global_budget, uniform_budget
from chita_edge.pruning.allocation.erdos_renyi import balanced_budget, erk_budget
from chita_edge.pruning.errors import UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    Allocation = Callable[[tuple[torch.Size, ...], float], int | tuple[int, ...]]

ALLOCATIONS: dict[str, Allocation] = {
    "global": global_budget,
    "uniform": uniform_budget,
    "erk": erk_budget,
    "balanced": balanced_budget,
}


def get_allocation(name: str) -> Allocation:
    """The allocation called ``name``: from weight shapes and sparsity to one budget, or one a layer.

    Raises:
        UnknownNameError: there is none; the message lists those there are.

    """
    if name not in ALLOCATIONS:
        raise UnknownNameError(f"There is no allocation {name!r}; there are: {', '.join(ALLOCATIONS)}.")
    return ALLOCATIONS[name]
