"""Graph passes, one file each. Each changes the model in place and returns it with whether it did."""

from __future__ import annotations

from exporters.passes.chain import Chain
from exporters.passes.fold_batch_norm import FoldBatchNorm
from exporters.passes.fold_constants import FoldConstants
from exporters.passes.fold_pads import FoldPads
from exporters.passes.fold_scales import FoldScales
from exporters.passes.fold_views import FoldViews
from exporters.passes.join_heights import JoinHeights
from exporters.passes.keep_pools import KeepPools
from exporters.passes.mean_to_pool import MeanToPool
from exporters.passes.name_layers import NameLayers
from exporters.passes.sequence import Sequence
from exporters.passes.shape_to_flatten import ShapeToFlatten
from exporters.passes.sparsify import Sparsify
from exporters.passes.strip import Strip

__all__ = [
    "Chain",
    "FoldBatchNorm",
    "FoldConstants",
    "FoldPads",
    "FoldScales",
    "FoldViews",
    "JoinHeights",
    "KeepPools",
    "MeanToPool",
    "NameLayers",
    "Sequence",
    "ShapeToFlatten",
    "Sparsify",
    "Strip",
]
