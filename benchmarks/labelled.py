"""Loss of the rows that were measured with labels, which pruning uses only where a loss is asked for."""

from __future__ import annotations

_METHODS = ("default", "chita", "chita_pp_reconstruct")


def loss_of(method: str) -> str | None:
    """The loss for `PruneConfig` of a method whose published rows went by cross-entropy; None for the others."""
    return "cross_entropy" if method in _METHODS else None
