"""Errors of a network or its calibration samples."""

from __future__ import annotations

from chita_edge.errors import ChitaEdgeError


class CalibrationError(ChitaEdgeError):
    """Gradients or activations cannot be collected from this network with these samples."""


class NonFiniteCalibrationError(CalibrationError):
    """A weight, a sample, a gradient or an activation is NaN or infinite."""
