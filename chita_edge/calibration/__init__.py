"""What pruning needs to know about a network's behaviour on calibration images."""

from chita_edge.calibration.errors import CalibrationError, NonFiniteCalibrationError, ScratchSpaceError
from chita_edge.calibration.gradient_matrix import GradientMatrix
from chita_edge.calibration.per_sample import cross_entropy, per_sample_gradients

__all__ = [
    "CalibrationError",
    "GradientMatrix",
    "NonFiniteCalibrationError",
    "ScratchSpaceError",
    "cross_entropy",
    "per_sample_gradients",
]
