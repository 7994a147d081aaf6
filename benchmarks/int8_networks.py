"""Quantised networks of random weights with zeros in blocks: float32, ONNX Runtime's int8 of it, and ours of that."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np
import onnx
import torch
from networks import dense_network, input_shape
from onnx import numpy_helper

import exporters
import runtimes
from chita_edge.deploy.int8_baseline import int8_baseline
from chita_edge.deploy.int8_costs import int8_format

_GROUP, _STEM_CHANNELS, _SAMPLES = 4, 4, 4
STRUCTURES = ("1x4", "2x4")


@dataclass(frozen=True)
class Int8Trio:
    """A network in float32, as ``quantize_static`` rounds it, and with our nodes."""

    float32: onnx.ModelProto
    onnxruntime: onnx.ModelProto
    ours: exporters.SparseModel


@functools.cache
def int8_trio(name: str, structure: str, sparsity: float, target: str) -> Int8Trio:
    """The network with that share of each prunable weight zero, in blocks.

    Each layer has the form that the target's cost model finds cheapest, and none is left to ONNX Runtime.
    """
    dense = blocked_network(name, int(structure[0]), sparsity)
    torch.manual_seed(0)
    quantised = int8_baseline(dense, torch.randn(_SAMPLES, *input_shape(name)))
    decide = int8_format(runtimes.get_target(target))

    def always(layer: exporters.QuantisedCandidate) -> exporters.QuantisedDecision:
        return replace(decide(layer), onnxruntime=float("inf"))

    return Int8Trio(dense, quantised, exporters.to_sparse_int8(quantised, always))


def blocked_network(name: str, rows: int, sparsity: float) -> onnx.ModelProto:
    """The network in float32, its zeros in blocks of four input channels of 1 or 2 outputs."""
    model = dense_network(name, 0.0)
    rng = np.random.default_rng(0)
    for tensor in model.graph.initializer:
        if len(tensor.dims) not in (2, 4) or (len(tensor.dims) == 4 and tensor.dims[1] <= _STEM_CHANNELS):
            continue
        weight = numpy_helper.to_array(tensor).copy()
        shape = (-(-len(weight) // rows), -(-weight.shape[1] // _GROUP), *weight.shape[2:])
        kept = np.ones(int(np.prod(shape)), bool)
        kept[rng.permutation(kept.size)[: round(sparsity * kept.size)]] = False
        weight *= kept.reshape(shape).repeat(rows, 0)[: len(weight)].repeat(_GROUP, 1)[:, : weight.shape[1]]
        weight /= np.float32(max(1 - sparsity, 0.01) ** 0.5)  # so that activations keep their size
        tensor.CopyFrom(numpy_helper.from_array(weight, tensor.name))
    return model
