"""A weight of a node of ours, as checks of it find it."""

from __future__ import annotations

from dataclasses import dataclass

from exporters.ops import EdgeOp
from exporters.untrusted.node_view import Shape


@dataclass(frozen=True)
class EdgeWeight:
    """A weight of a node of ours: its op, suffix, dense shape, bytes when densified, and sparse format.

    A dense float32 one takes none, and its format is empty.
    """

    op: EdgeOp
    suffix: str
    shape: Shape
    densified: int
    format: str
