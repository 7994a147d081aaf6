"""The distance between two networks' outputs."""

from chita_edge.network.distance import Answers, divergence

__all__ = ["Answers", "divergence"]
