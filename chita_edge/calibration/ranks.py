"""The name that `chita_edge.calibration.distributed` had."""

from chita_edge.calibration.distributed import RankError, Ranks, ranks_from_environment

__all__ = ["RankError", "Ranks", "ranks_from_environment"]
