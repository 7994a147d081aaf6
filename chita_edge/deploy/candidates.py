"""Candidates for an int8 network, and the choice of the fastest that is accurate enough."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chita_edge.deploy.metric import Metric

SPARSITIES = (0.9, 0.85, 0.75, 0.65, 0.5, 0.0)
MOST = 6
"""Candidates that a choice is among."""


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
    """

    structure: str
    sparsity: float
    predicted: float
    unit: str
    metric: float | None = None
    drop: float | None = None
    chosen: bool = False
    dtype: str = "int8"

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and strings."""
        return asdict(self)


def worthwhile(candidates: Sequence[tuple[Candidate, float]], most: int = MOST) -> list[Candidate]:
    """Those of which no other is as fast and expected to lose as little; from the fastest to the slowest.

    Args:
        candidates: each with what it is expected to lose, in any one unit.
        most: how many at most. Where there are more, the fastest and the slowest stay, and of the others those go first
            whose neighbours are closest to each other in time.
    """
    front: list[Candidate] = []
    least = float("inf")
    for candidate, loss in sorted(candidates, key=lambda one: (one[0].predicted, one[1])):
        if loss < least:
            front.append(candidate)
            least = loss
    while len(front) > max(2, most):
        gaps = [front[place + 1].predicted / front[place - 1].predicted for place in range(1, len(front) - 1)]
        del front[1 + gaps.index(min(gaps))]
    return front


def choose(
    candidates: Sequence[Candidate], try_out: Callable[[Candidate], tuple[float, float]], max_drop: float
) -> tuple[Candidate, ...]:
    """Find the fastest candidate that stays within a drop, by halving: fewer zeros are taken to be no less accurate.

    Args:
        candidates: at most six.
        try_out: makes one, and gives its metric and its drop.
        max_drop: how much is allowed.

    Returns:
        The candidates from the fastest to the slowest, with what was found; about half of them are tried. Where none
        stays within the drop, the one of the least drop is chosen.
    """
    ordered = sorted(candidates, key=lambda one: one.predicted)
    low, high = 0, len(ordered) - 1  # what is accurate enough and the fastest lies in between, if anything is
    best = None
    while low <= high:
        middle = (low + high) // 2
        metric, drop = try_out(ordered[middle])
        ordered[middle] = replace(ordered[middle], metric=metric, drop=drop)
        if drop <= max_drop:
            best, high = middle, middle - 1
        else:
            low = middle + 1
    if best is None:
        tried = [number for number, one in enumerate(ordered) if one.drop is not None]
        best = min(tried, key=lambda number: ordered[number].drop or 0.0)
    ordered[best] = replace(ordered[best], chosen=True)
    return tuple(ordered)


def drop_of(metric: Metric, dense: float, other: float) -> float:
    """How much worse a figure is than the dense network's: points of a share, per cent of another metric."""
    worse = dense - other if metric.better == "higher" else other - dense
    return 100 * worse if metric.share else 100 * worse / max(abs(dense), 1e-12)
