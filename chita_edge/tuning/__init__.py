"""Adjustments after pruning: batch-norm statistics and distillation."""

from chita_edge.network.distance import divergence
from chita_edge.tuning.batch_norm import recalibrate_batch_norm
from chita_edge.tuning.bn_recalibration import recalibrate_bn_if_better
from chita_edge.tuning.distill import Distilled, DivergedError, distill
from chita_edge.tuning.recipe import Recipe
from chita_edge.tuning.training_augmentation import infer_training_augmentation

__all__ = [
    "Distilled",
    "DivergedError",
    "Recipe",
    "distill",
    "divergence",
    "infer_training_augmentation",
    "recalibrate_batch_norm",
    "recalibrate_bn_if_better",
]
