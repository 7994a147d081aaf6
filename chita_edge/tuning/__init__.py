"""Adjustments after pruning: batch-norm statistics and distillation."""

from chita_edge.network.distance import divergence
from chita_edge.tuning.batch_norm import recalibrate_batch_norm
from chita_edge.tuning.closer import recalibrated_if_closer
from chita_edge.tuning.distill import Distilled, DivergedError, distill
from chita_edge.tuning.familiar import familiar_augmentation
from chita_edge.tuning.recipe import Recipe

__all__ = [
    "Distilled",
    "DivergedError",
    "Recipe",
    "distill",
    "divergence",
    "familiar_augmentation",
    "recalibrate_batch_norm",
    "recalibrated_if_closer",
]
