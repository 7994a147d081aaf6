"""The ways to share a budget among layers, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from chita_edge.pruning.allocation.budgets import global_budget, uniform_budget
from chita_edge.pruning.allocation.erdos_renyi import balanced_budget, erk_budget
from chita_edge.pruning.allocation.facts import LayerFacts
from chita_edge.pruning.allocation.flops import flops_budget
from chita_edge.pruning.allocation.lamp import lamp_budget
from chita_edge.pruning.allocation.latency import latency_budget
from chita_edge.pruning.errors import UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch


class Allocation(Protocol):
    """From weight shapes, a sparsity and facts about the layers to one budget, or one a layer."""

    def __call__(
        self, shapes: tuple[torch.Size, ...], sparsity: float, facts: LayerFacts = ..., /
    ) -> int | tuple[int, ...]:
        """Number of weights that stay, in all or by layer."""


def _by_shape(budget: Callable[[tuple[torch.Size, ...], float], int | tuple[int, ...]]) -> Allocation:
    """An allocation that needs no facts."""

    def allocation(
        shapes: tuple[torch.Size, ...], sparsity: float, facts: LayerFacts | None = None, /
    ) -> int | tuple[int, ...]:
        del facts
        return budget(shapes, sparsity)

    return allocation


ALLOCATIONS: dict[str, Allocation] = {
    "global": _by_shape(global_budget),
    "uniform": _by_shape(uniform_budget),
    "erk": _by_shape(erk_budget),
    "balanced": _by_shape(balanced_budget),
    "lamp": lamp_budget,
    "flops": flops_budget,
    "latency": latency_budget,
}


def get_allocation(name: str) -> Allocation:
    """The allocation called ``name``: from weight shapes, sparsity and `LayerFacts` to one budget, or one a layer.

    Raises:
        UnknownNameError: there is none; the message lists those there are.

    """
    if name not in ALLOCATIONS:
        raise UnknownNameError(f"There is no allocation {name!r}; there are: {', '.join(ALLOCATIONS)}.")
    return ALLOCATIONS[name]
