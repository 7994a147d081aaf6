"""Errors of quantisation: a network, a value or an option that cannot be made int8."""

from __future__ import annotations

from chita_edge.errors import ChitaEdgeError, UsageError


class QuantizationError(ChitaEdgeError):
    """A network or its values cannot be quantised."""


class UnsupportedNetworkError(QuantizationError):
    """The network does something that has no integer form here; the message names the place."""


class QuantizationOptionError(UsageError, QuantizationError):
    """An option of compression is unknown or out of its range."""


class RefusalError(UnsupportedNetworkError):
    """An op has no integer form.

    Attributes:
        what: the op, in words.
    """

    def __init__(self, what: str, node: str) -> None:
        super().__init__(f"Quantisation knows no integer form of {what} (at {node}). Keep the network in float32.")
        self.what = what
