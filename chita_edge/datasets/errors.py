"""Errors of data."""

from __future__ import annotations

from chita_edge.errors import ChitaEdgeError


class DataError(ChitaEdgeError):
    """Data cannot be read, or do not fit the network or each other."""


class DamagedImageError(DataError):
    """One image cannot be read; the others may do without it."""
