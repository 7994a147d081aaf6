"""Calibration data of a network: per-sample gradients and activations."""

from chita_edge.calibration.distributed import ALONE, RankError, Ranks, ranks_from_environment
from chita_edge.calibration.errors import CalibrationError, NonFiniteCalibrationError, ScratchSpaceError, StateError
from chita_edge.calibration.gradient_matrix import GradientMatrix
from chita_edge.calibration.per_sample import cross_entropy, per_sample_gradients
from chita_edge.network.output_curvature import OutputCurvature

__all__ = [
    "ALONE",
    "CalibrationError",
    "GradientMatrix",
    "NonFiniteCalibrationError",
    "OutputCurvature",
    "RankError",
    "Ranks",
    "ScratchSpaceError",
    "StateError",
    "cross_entropy",
    "per_sample_gradients",
    "ranks_from_environment",
]
