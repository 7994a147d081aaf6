"""Candidates for a network, and the search for the fastest that is accurate enough."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from chita_edge.deploy.metric import Metric

DRAFTS = 3
"""Of int8 networks that a choice is among; with the one of all weights and one of float32."""
_ALIKE = 1.03
"""Predicted costs that are not told apart."""


@dataclass(frozen=True)
class Candidate:
    """One network that could be made.

    Attributes:
        structure: of its zeros.
        sparsity: share of zeros among the prunable weights.
        predicted: what an image costs by the target's cost table.
        unit: of that.
        metric: figure on samples that nothing was fitted on; None where it was not tried.
        drop: how much worse than the dense network, see `drop_of`.
        chosen: it is the one.
        dtype: int8 or float32.
        draft: the figure is of a draft, compressed on fewer samples.
    """

    structure: str
    sparsity: float
    predicted: float
    unit: str
    metric: float | None = None
    drop: float | None = None
    chosen: bool = False
    dtype: str = "int8"
    draft: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and strings."""
        return asdict(self)


def halve(try_out: Callable[[float], bool], fastest: float, slowest: float, most: int = DRAFTS) -> None:
    """Try costs between two, each in the middle of what is left, which a cost that is good enough halves from above.

    What costs more is taken to be no less accurate. The middle is the geometric one. It ends where what is left
    differs by less than predictions do.

    Args:
        try_out: makes a network of at most a cost, and says whether it is good enough.
        fastest: the least cost there may be, not tried.
        slowest: the largest, not tried.
        most: costs that are tried.
    """
    for _ in range(most):
        if slowest < _ALIKE * fastest:
            return
        middle = math.sqrt(fastest * slowest)
        if try_out(middle):
            slowest = middle
        else:
            fastest = middle


def drop_of(metric: Metric, dense: float, other: float) -> float:
    """How much worse a figure is than the dense network's: points of a share, per cent of another metric."""
    worse = dense - other if metric.better == "higher" else other - dense
    return 100 * worse if metric.share else 100 * worse / max(abs(dense), 1e-12)
