"""Errors of files that keep unfinished work."""

from __future__ import annotations

from chita_edge.errors import ChitaEdgeError


class ScratchSpaceError(ChitaEdgeError):
    """The gradients do not fit into memory, and their folder cannot hold them either."""


class StateError(ChitaEdgeError):
    """A state folder, or a file in it, does not belong to the computation that is to be resumed, or is damaged."""
