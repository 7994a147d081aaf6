"""Errors of writing a bundle: each is a sentence and an exit code."""

from __future__ import annotations

from chita_edge.errors import ChitaEdgeError, UsageError


class BundleExistsError(UsageError):
    """The output folder exists, and may not (or not safely) be replaced."""


class BundleWriteError(ChitaEdgeError):
    """The bundle could not be written; what was there before is untouched and nothing was left behind."""
