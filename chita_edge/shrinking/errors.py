"""Errors of removing channels."""

from __future__ import annotations

from chita_edge.errors import ChitaEdgeError


class ShrinkingError(ChitaEdgeError):
    """Channels cannot be removed from this network."""
