"""Patterns whose weights are kept or dropped in groups: blocks, whole filters, whole channels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch

from chita_edge.pruning.patterns.cut import Cut


@dataclass(frozen=True)
class Grouped:
    """Blocks of ``out`` × ``inputs`` channels at one kernel position; None for all channels and positions.

    A last block that the channel count does not fill is smaller. Two 1×4 blocks of a 2 × 8 layer, by magnitude::

        0.9 0.1 0.4 0.2   0.1 0.2 0.1 0.0        1 1 1 1   0 0 0 0
        0.1 0.2 0.1 0.1   0.8 0.1 0.3 0.5   →    0 0 0 0   1 1 1 1

    Attributes:
        name: name in the registry.
        out: output channels of a block.
        inputs: input channels of a block; None for all of them with all kernel positions.
        cut: where a layer may be split into independent blocks.
    """

    name: str
    out: int | None
    inputs: int | None
    cut: Cut

    def unit_scores(self, scores: torch.Tensor) -> torch.Tensor:
        """Sum over each block."""
        units = self._units(scores.shape)
        return scores.new_zeros(int(units[-1]) + 1).index_add_(0, units, scores.flatten())

    def unit_sizes(self, shape: torch.Size) -> torch.Tensor:
        """Number of weights of each block."""
        return torch.bincount(self._units(shape))

    def expand(self, kept: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        """Each weight's block's decision."""
        return kept[self._units(shape)].view(shape)

    def _units(self, shape: torch.Size) -> torch.Tensor:
        return _unit_of_weight(tuple(shape), self.out, self.inputs)


@lru_cache(maxsize=256)
def _unit_of_weight(shape: tuple[int, ...], out: int | None, inputs: int | None) -> torch.Tensor:
    """Number of the unit of each weight, flat; numbers rise to the last weight's."""
    outputs, channels = shape[:2]
    positions = torch.Size(shape[2:]).numel()
    row = torch.zeros(outputs, dtype=torch.int64) if out is None else torch.arange(outputs) // out
    if inputs is None:
        column = torch.zeros(channels * positions, dtype=torch.int64)
    elif out is None:  # whole input channels, with all their positions
        column = (torch.arange(channels) // inputs).repeat_interleave(positions)
    else:
        blocks = torch.arange(channels) // inputs
        column = (blocks[:, None] * positions + torch.arange(positions)[None]).flatten()
    return (row[:, None] * (int(column[-1]) + 1) + column[None]).flatten()
