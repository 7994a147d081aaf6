"""The patterns by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chita_edge.pruning.errors import UnknownNameError
from chita_edge.pruning.patterns.unstructured import Unstructured

if TYPE_CHECKING:
    from collections.abc import Callable

    from chita_edge.pruning.patterns.pattern import Pattern

PATTERNS: dict[str, Callable[[], Pattern]] = {
    "unstructured": Unstructured,
}


def get_pattern(name: str) -> Pattern:
    """The pattern called ``name``.

    Raises:
        UnknownNameError: there is none; the message lists those there are.

    """
    if name not in PATTERNS:
        raise UnknownNameError(f"There is no sparsity pattern {name!r}; there are: {', '.join(PATTERNS)}.")
    return PATTERNS[name]()
