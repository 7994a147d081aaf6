"""Errors of a pruning problem."""

from __future__ import annotations

from chita_edge.errors import ChitaEdgeError, UsageError


class PruningError(ChitaEdgeError):
    """The pruning problem cannot be solved as it is posed."""


class InfeasibleBudgetError(UsageError, PruningError):
    """No vector of the pattern has the number of weights that was asked for."""


class UnknownNameError(UsageError, PruningError):
    """There is no solver or pattern of this name."""


class NonFiniteProblemError(PruningError):
    """The weights or gradients of a problem hold NaN or infinity."""
