"""Granularity at which a layer may be split into independent blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Cut:
    """Places between which a layer of a pattern may be split, so that each part is of the pattern itself.

    `Cut.ANYWHERE`: between any two weights; `Cut.rows(n)`: after every n output channels; `Cut.NOWHERE`: not at all.

    Attributes:
        channels: output channels of the smallest part; 0 for single weights, None for the whole layer.
    """

    channels: int | None

    ANYWHERE: ClassVar[Cut]
    NOWHERE: ClassVar[Cut]

    @classmethod
    def rows(cls, count: int) -> Cut:
        """After every ``count`` output channels. ValueError if that is no positive number."""
        if count < 1:
            raise ValueError(f"a part has at least one output channel, not {count}")
        return cls(count)

    def piece(self, size: int, out_channels: int) -> int:
        """Weights of the smallest part of a layer of ``size`` weights and ``out_channels`` output channels."""
        return size if self.channels is None else max(1, self.channels * size // out_channels)


Cut.ANYWHERE = Cut(0)
Cut.NOWHERE = Cut(None)
