"""No pattern: every weight is a unit of its own."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from chita_edge.pruning.patterns.cut import Cut


@dataclass(frozen=True)
class Unstructured:
    """Any weight may be kept or dropped.

    Half the weights of a 2 × 4 layer, by magnitude::

        0.9 0.1 0.4 0.2        1 0 1 0
        0.3 0.8 0.1 0.5   →    0 1 0 1
    """

    name: str = "unstructured"
    cut: Cut = Cut.ANYWHERE

    def unit_scores(self, scores: torch.Tensor) -> torch.Tensor:
        """The scores themselves, flat."""
        return scores.flatten()

    def unit_sizes(self, shape: torch.Size) -> torch.Tensor:
        """All ones."""
        return torch.ones(shape.numel(), dtype=torch.int64)

    def expand(self, kept: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        """The mask itself, in the layer's shape."""
        return kept.view(shape)
