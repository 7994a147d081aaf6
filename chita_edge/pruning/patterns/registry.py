"""The patterns by name."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from chita_edge.pruning.errors import UnknownNameError
from chita_edge.pruning.patterns.cut import Cut
from chita_edge.pruning.patterns.grouped import Grouped
from chita_edge.pruning.patterns.n_of_m import NOfM, parse_n_of_m
from chita_edge.pruning.patterns.unstructured import Unstructured

if TYPE_CHECKING:
    from collections.abc import Callable

    from chita_edge.pruning.patterns.pattern import Pattern

PATTERNS: dict[str, Callable[[], Pattern]] = {
    "unstructured": Unstructured,
    "2:4": partial(NOfM, 2, 4),
    "1:4": partial(NOfM, 1, 4),
    "4:8": partial(NOfM, 4, 8),
    "1x4": partial(Grouped, "1x4", 1, 4, Cut.rows(1)),
    "2x4": partial(Grouped, "2x4", 2, 4, Cut.rows(2)),
    "4x1": partial(Grouped, "4x1", 4, 1, Cut.rows(4)),
    "2x1": partial(Grouped, "2x1", 2, 1, Cut.rows(2)),
    "filter": partial(Grouped, "filter", 1, None, Cut.rows(1)),
    "channel": partial(Grouped, "channel", None, 1, Cut.NOWHERE),
}


def get_pattern(name: str) -> Pattern:
    """The pattern called ``name``: one of `PATTERNS`, or ``N:M`` for any N < M ≤ 16.

    Raises:
        UnknownNameError: there is none; the message lists those there are.
    """
    if name in PATTERNS:
        return PATTERNS[name]()
    pattern = parse_n_of_m(name)
    if pattern is None:
        raise UnknownNameError(
            f"There is no sparsity pattern {name!r}; there are: {', '.join(PATTERNS)}, and N:M for any N < M up to 16."
        )
    return pattern
