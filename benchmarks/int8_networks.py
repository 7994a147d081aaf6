"""Quantised networks with zeros in blocks: float32, ONNX Runtime's int8, and ours of the same integers.

``quantize_static`` rounds a network of random weights; zeros are put among its integers, and the scales of weights
raised so that activations keep their size. What is zero decides the time of our layers, and of no other.
"""

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
    """A network in float32, in int8 as ``quantize_static`` writes it (QDQ, u8s8), and with our nodes."""

    float32: onnx.ModelProto
    onnxruntime: onnx.ModelProto
    ours: exporters.SparseModel


def int8_trio(name: str, structure: str, sparsity: float, target: str) -> Int8Trio:
    """The network with that share of each prunable weight zero, in blocks.

    Each layer has the form that the target's cost model finds cheapest, and none is left to ONNX Runtime.
    """
    quantised = with_zeros(_quantised(name), int(structure[0]), sparsity)
    decide = int8_format(runtimes.get_target(target))

    def always(layer: exporters.QuantisedCandidate) -> exporters.QuantisedDecision:
        return replace(decide(layer), onnxruntime=float("inf"))

    return Int8Trio(dense_network(name, 0.0), quantised, exporters.to_sparse_int8(quantised, always))


@functools.cache
def _quantised(name: str) -> onnx.ModelProto:
    torch.manual_seed(0)
    return int8_baseline(dense_network(name, 0.0), torch.randn(_SAMPLES, *input_shape(name)))


def with_zeros(quantised: onnx.ModelProto, rows: int, sparsity: float) -> onnx.ModelProto:
    """A copy with zeros in blocks of four input channels of 1 or 2 outputs; stem and depthwise layers keep all."""
    model = onnx.ModelProto()
    model.CopyFrom(quantised)
    if not sparsity:
        return model
    rng = np.random.default_rng(0)
    made = {node.output[0]: node for node in model.graph.node if node.op_type == "DequantizeLinear"}
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type not in ("Conv", "Gemm") or node.input[1] not in made:
            continue
        tensor = tensors[made[node.input[1]].input[0]]
        weight = numpy_helper.to_array(tensor).copy()
        if weight.ndim == 4 and weight.shape[1] <= _STEM_CHANNELS:
            continue
        shape = (-(-len(weight) // rows), -(-weight.shape[1] // _GROUP), *weight.shape[2:])
        kept = np.ones(int(np.prod(shape)), bool)
        kept[rng.permutation(kept.size)[: round(sparsity * kept.size)]] = False
        weight *= kept.reshape(shape).repeat(rows, 0)[: len(weight)].repeat(_GROUP, 1)[:, : weight.shape[1]]
        tensor.CopyFrom(numpy_helper.from_array(weight, tensor.name))
        for reader in node.input[1:3]:
            scale = tensors[made[reader].input[1]]
            scaled = numpy_helper.to_array(scale) * np.float32((1 - sparsity) ** -0.5)
            scale.CopyFrom(numpy_helper.from_array(scaled, scale.name))
    return model
