"""What can be wrong with a network or its calibration images."""

from __future__ import annotations

from chita_edge.network.errors import CalibrationError, NonFiniteCalibrationError

__all__ = ["CalibrationError", "NonFiniteCalibrationError", "ScratchSpaceError", "StateError"]


class ScratchSpaceError(CalibrationError):
    """The gradients do not fit into memory, and their folder cannot hold them either."""


class StateError(CalibrationError):
    """A state folder, or a file in it, does not belong to the computation that is to be resumed, or is damaged."""
