"""The networks that the runtime is measured on: dense ONNX with random weights and a share of random zeros.

Zeros are in the 1×1 convolutions and the linear layers, in ResNets in the 3×3 convolutions as well; stem and depthwise
layers have none. How many weights are zero decides the time, hardly which, and not at all what the others are. Weights
are scaled so that activations neither vanish nor grow: a sum of denormal numbers takes many times as long.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

import exporters
from chita_edge.models.mobilenet_v1 import MobileNetV1
from chita_edge.models.mobilenet_v2 import MobileNetV2
from chita_edge.models.resnet import ResNet50
from chita_edge.models.resnet20_cifar import ResNet20Cifar

NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int]]] = {
    "mobilenet": (functools.partial(MobileNetV1, width=0.5, num_classes=10, in_channels=1), (1, 96, 96)),
    "mobilenet_v1": (MobileNetV1, (3, 224, 224)),
    "mobilenet_v2": (MobileNetV2, (3, 224, 224)),
    "resnet50": (ResNet50, (3, 224, 224)),
    "resnet20_cifar": (ResNet20Cifar, (3, 32, 32)),
}
_STEM_CHANNELS = 4


def input_shape(name: str) -> tuple[int, int, int]:
    """Channels, height and width of an image."""
    return NETWORKS[name][1]


@functools.cache
def _exported(name: str) -> onnx.ModelProto:
    architecture, shape = NETWORKS[name]
    torch.manual_seed(0)
    return exporters.to_onnx(architecture(), torch.zeros(1, *shape))


def dense_network(name: str, sparsity: float, seed: int = 0, block_rows: int = 1) -> onnx.ModelProto:
    """The network in standard ONNX, the given share of each prunable weight exactly 0.

    block_rows: output channels that have their zeros in the same places, where they are a whole number of blocks.
    """
    model = onnx.ModelProto()
    model.CopyFrom(_exported(name))
    rng = np.random.default_rng(seed)
    for tensor in model.graph.initializer:
        if len(tensor.dims) not in (2, 4):
            continue
        weight = rng.standard_normal(tuple(tensor.dims), np.float32)
        if weight.ndim == 2 or weight.shape[1] > _STEM_CHANNELS:
            rows = block_rows if len(weight) % block_rows == 0 else 1
            units = weight.reshape(len(weight) // rows, rows, -1)
            drawn = rng.permutation(weight.size // rows)[: round(weight.size * sparsity / rows)]
            units[drawn // units.shape[2], :, drawn % units.shape[2]] = 0
        kept = max(np.count_nonzero(weight), 1) / weight.shape[0]
        tensor.CopyFrom(numpy_helper.from_array(weight * np.float32((2 / kept) ** 0.5), tensor.name))
    return model
