"""What can be wrong with a network or its calibration images."""

from __future__ import annotations

from chita_edge.errors import ChitaEdgeError


class CalibrationError(ChitaEdgeError):
    """Gradients or activations cannot be collected from this network with these images."""


class NonFiniteCalibrationError(CalibrationError):
    """A weight, an image, a gradient or an activation is NaN or infinite."""


class ScratchSpaceError(CalibrationError):
    """The gradients do not fit into memory, and their folder cannot hold them either."""


class StateError(CalibrationError):
    """A state folder, or a file in it, does not belong to the computation that is to be resumed, or is damaged."""
