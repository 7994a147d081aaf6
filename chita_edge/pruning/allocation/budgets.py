"""From a sparsity to the numbers of weights that are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chita_edge.pruning.errors import InfeasibleBudgetError

if TYPE_CHECKING:
    import torch


def kept_of(size: int, sparsity: float) -> int:
    """Number of ``size`` weights that remain at this sparsity, rounded to nearest.

    Raises:
        InfeasibleBudgetError: the sparsity is outside [0, 1) or would leave nothing.

    """
    if not 0 <= sparsity < 1:
        raise InfeasibleBudgetError(
            f"A sparsity of {sparsity} is outside [0, 1): it is the share of weights set to zero."
        )
    kept = round(size * (1 - sparsity))
    if not kept:
        raise InfeasibleBudgetError(f"A sparsity of {sparsity} leaves none of {size} weights; ask for less.")
    return kept


def global_budget(shapes: tuple[torch.Size, ...], sparsity: float) -> int:
    """One budget over all layers: the projection decides which layer keeps how many."""
    return kept_of(sum(shape.numel() for shape in shapes), sparsity)


def uniform_budget(shapes: tuple[torch.Size, ...], sparsity: float) -> tuple[int, ...]:
    """Uniform budget: the same sparsity in every layer."""
    return tuple(kept_of(shape.numel(), sparsity) for shape in shapes)
