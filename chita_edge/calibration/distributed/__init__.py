"""Distributed pruning: several processes, on one machine or more, prune one network."""

from chita_edge.calibration.distributed.launch import ranks_from_environment
from chita_edge.calibration.distributed.monitor import RankError
from chita_edge.calibration.distributed.ranks import ALONE, Ranks

__all__ = ["ALONE", "RankError", "Ranks", "ranks_from_environment"]
