"""N:M sparsity: at most N of every M neighbouring input channels."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import torch
from torch.nn import functional

from chita_edge.pruning.errors import UnknownNameError
from chita_edge.pruning.patterns.cut import Cut

_LARGEST_M = 16


_EACH_CHANNEL = Cut.rows(1)


@dataclass(frozen=True)
class NOfM:
    """Of M consecutive input channels at one output channel and kernel position, at most N are kept.

    A last cell that the channel count does not fill may keep N as well. 2:4 of a 2 × 4 layer, by magnitude::

        0.9 0.1 0.4 0.2        1 0 1 0
        0.3 0.8 0.1 0.5   →    0 1 0 1

    A budget below the share N/M thins the cells further, wherever the scores are smallest.

    Attributes:
        n: weights kept of a cell, 1 ≤ n < m.
        m: weights of a cell, at most 16.
    """

    n: int
    m: int
    cut: Cut = _EACH_CHANNEL

    def __post_init__(self) -> None:
        if not 1 <= self.n < self.m <= _LARGEST_M:
            raise UnknownNameError(
                f"The pattern {self.n}:{self.m} is not possible: N of N:M is at least 1 and less than M, and M is at "
                f"most {_LARGEST_M}."
            )

    @cached_property
    def name(self) -> str:
        """``N:M``."""
        return f"{self.n}:{self.m}"

    def unit_scores(self, scores: torch.Tensor) -> torch.Tensor:
        """The scores, flat, with all but the N largest of each cell ruled out; the first of equal ones wins."""
        outputs, channels = scores.shape[:2]
        cells = -(-channels // self.m)
        flat = scores.reshape(outputs, channels, -1)
        padded = functional.pad(flat, (0, 0, 0, cells * self.m - channels), value=-torch.inf)
        padded = padded.view(outputs, cells, self.m, -1)
        order = torch.argsort(padded, dim=2, descending=True, stable=True)
        rank = torch.argsort(order, dim=2)
        kept = torch.where(rank < self.n, padded, -torch.inf)
        return kept.view(outputs, cells * self.m, -1)[:, :channels].reshape(-1)

    def cells(self, shape: torch.Size) -> torch.Tensor:
        """Number of the cell of each weight, flat int64, rising with the output channel, then the input channels."""
        channel = torch.arange(shape[1]) // self.m
        per_output = channel[:, None] * shape[2:].numel() + torch.arange(shape[2:].numel())[None]
        return (torch.arange(shape[0])[:, None] * (int(per_output[-1, -1]) + 1) + per_output.flatten()[None]).flatten()

    def unit_sizes(self, shape: torch.Size) -> torch.Tensor:
        """All ones."""
        return torch.ones(shape.numel(), dtype=torch.int64)

    def expand(self, kept: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        """The mask itself, in the layer's shape."""
        return kept.view(shape)


def parse_n_of_m(name: str) -> NOfM | None:
    """The pattern that a name such as ``2:4`` means; None when it is no such name."""
    match = re.fullmatch(r"([0-9]{1,3}):([0-9]{1,3})", name)
    return None if match is None else NOfM(int(match[1]), int(match[2]))
