"""Interface of a sparsity pattern."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch

    from chita_edge.pruning.patterns.cut import Cut


class Pattern(Protocol):
    """A family of masks made of *units*, sets of weights of one layer that are kept or dropped together.

    A projection onto the pattern keeps the units of the largest total score, subject to the budget; a pattern may rule
    out units by their rivals' scores, as N:M does.
    """

    @property
    def name(self) -> str:
        """Name in the registry."""

    @property
    def cut(self) -> Cut:
        """Granularity at which a layer may be split into independent blocks."""

    def unit_scores(self, scores: torch.Tensor) -> torch.Tensor:
        """Total score of each unit, (units,), from the weights' scores in the layer's own shape.

        Units that are ruled out, whatever the budget, come back as −inf.
        """

    def unit_sizes(self, shape: torch.Size) -> torch.Tensor:
        """Number of weights of each unit, int64 (units,)."""

    def expand(self, kept: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        """Bool mask of a layer of this shape from bool (units,)."""
