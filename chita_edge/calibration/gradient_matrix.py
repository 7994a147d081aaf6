"""The matrix of per-sample gradients, one block of coordinates a layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from chita_edge.pruning.columns import Columns


@dataclass(frozen=True)
class GradientMatrix:
    """Per-sample gradients Aᵀ, cut into layers.

    ``blocks[name]`` is float32 (p_l, n): row j holds the derivative of each of the n samples' losses by weight j of the
    layer, weights in the order of ``weight.flatten()``. A coordinate is thus contiguous, and a subset of coordinates is
    a gather of rows. The papers' A (n × p) is the transpose of all blocks stacked. A block is a tensor, or a `Columns`
    that reads itself from disk or from other machines.
    """

    blocks: Mapping[str, torch.Tensor | Columns]
    on_disk: bool

    @property
    def samples(self) -> int:
        """n, the rows of A."""
        return next(iter(self.blocks.values())).shape[1]

    @property
    def size(self) -> int:
        """p, the number of coordinates over all layers."""
        return sum(block.shape[0] for block in self.blocks.values())
