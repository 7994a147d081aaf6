"""Errors of a network or its calibration images."""

from __future__ import annotations

from chita_edge.network.errors import CalibrationError, NonFiniteCalibrationError
from chita_edge.storage.errors import ScratchSpaceError, StateError

__all__ = ["CalibrationError", "NonFiniteCalibrationError", "ScratchSpaceError", "StateError"]
