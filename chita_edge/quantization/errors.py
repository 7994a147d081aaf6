"""Errors of quantisation: a network, a value or an option that cannot be made int8."""

from __future__ import annotations

from chita_edge.errors import ChitaEdgeError, UsageError


class QuantizationError(ChitaEdgeError):
    """A network or its values cannot be quantised."""


class UnsupportedNetworkError(QuantizationError):
    """The network does something that has no integer form here; the message names the place."""


class QuantizationOptionError(UsageError, QuantizationError):
    """An option of compression is unknown or out of its range."""
