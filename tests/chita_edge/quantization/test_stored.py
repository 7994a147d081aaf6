"""Integer networks and curves as tensors, and back."""

from __future__ import annotations

import pytest
import torch
from mixed_networks import SmallMixed
from small_networks import SmallMobile, pictures, settled
from torch import nn

from chita_edge.quantization import CompressionConfig, compress_plan, prepare
from chita_edge.quantization.stored import curve_tensors, curves_from, network_from, network_tensors


@pytest.mark.parametrize("kind", [SmallMobile, SmallMixed])
def test_what_was_stored_computes_the_same(kind: type[nn.Module]) -> None:
    images = pictures(40, 5)
    config = CompressionConfig(sparsity=0.5, rows=500, curvature_images=8, activation_rounds=1)
    plan = prepare(settled(kind), images, config)
    network = compress_plan(plan, images, config).network
    assert network is not None
    again = network_from(plan.graph, network_tensors(network))
    assert dict(again.grids) == dict(network.grids)
    assert torch.equal(again(images), network(images))
    for name, layer in network.graph.layers.items():
        assert torch.equal(again.graph.layers[name].weight, layer.weight)
        assert torch.equal(again.graph.layers[name].bias, layer.bias)
    curves, importance = curves_from(curve_tensors(plan.curves, plan.importance), ["1x4"], plan.prunable)
    assert curves == dict(plan.curves)
    assert list(importance) == list(plan.prunable)
    assert all(torch.equal(importance[name], values) for name, values in plan.importance.items())
