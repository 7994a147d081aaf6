"""What is adjusted after pruning."""

from chita_edge.tuning.batch_norm import recalibrate_batch_norm
from chita_edge.tuning.closer import divergence, recalibrated_if_closer

__all__ = ["divergence", "recalibrate_batch_norm", "recalibrated_if_closer"]
