"""What is adjusted after pruning."""

from chita_edge.tuning.batch_norm import recalibrate_batch_norm

__all__ = ["recalibrate_batch_norm"]
