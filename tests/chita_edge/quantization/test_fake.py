from __future__ import annotations

import torch
from mixed_networks import SmallTokens
from small_networks import SmallMobile, pictures, settled

from chita_edge.quantization import CompressionConfig, QuantisedNetwork, compress
from chita_edge.quantization.fake import FakeQuantised


def quantised() -> QuantisedNetwork:
    config = CompressionConfig(sparsity=0.5, rows=400, curvature_images=8)
    network = compress(settled(SmallMobile), pictures(30, 5), config).network
    assert network is not None
    return network


def test_comes_back_as_the_integers_it_was_made_of() -> None:
    network = quantised()
    same = FakeQuantised(network).to_network()
    for name, layer in network.layers.items():
        assert torch.equal(same.layers[name].weight, layer.weight)
        assert torch.equal(same.layers[name].bias, layer.bias)


def test_after_steps_of_training_it_answers_as_its_integers_and_keeps_masks_and_grids() -> None:
    network, images = quantised(), pictures(8, 7)
    fake = FakeQuantised(network)
    optimiser = torch.optim.Adam(fake.parameters(), lr=1e-2)
    for _ in range(3):
        optimiser.zero_grad()
        fake(images).square().sum().backward()
        optimiser.step()
    trained = fake.to_network()
    with torch.no_grad():
        assert torch.equal(trained(images), fake(images))
    moved = 0
    for name, layer in trained.layers.items():
        old = network.layers[name]
        moved += int((layer.weight != old.weight).sum())
        assert torch.equal(layer.scale, old.scale) and torch.equal(layer.mask, old.mask)
        assert bool((layer.weight[~layer.mask] == 0).all())
    assert moved and trained.grids == network.grids


def test_gradients_are_those_of_the_network_without_rounding() -> None:
    """On average over weights, the straight-through gradient is the gradient of the real network."""
    network, images = quantised(), pictures(16, 8)
    fake = FakeQuantised(network)
    fake(images).sum().backward()
    classifier = "classifier.1"
    graph = network.graph
    weight = graph.layers[classifier].weight
    values = {step.name: value for step, _, value in graph.walk(images)}
    pooled = values[graph[classifier].inputs[0]]
    # A weight counts in the largest of its row, 127 steps of its scale.
    unit = 127 * network.layers[classifier].scale[:, None]
    wanted = pooled.sum(0).expand_as(weight) * unit
    found = fake.weights["classifier/1"].grad
    assert found is not None
    torch.testing.assert_close(found, wanted, rtol=0.1, atol=0.1 * float(wanted.abs().mean()))


def test_gradients_pass_through_float_steps_to_the_first_layer() -> None:
    config = CompressionConfig(sparsity=0.5, rows=300, curvature_images=4, activation_rounds=0)
    torch.manual_seed(0)
    network = compress(SmallTokens().eval(), pictures(20, 5), config).network
    assert network is not None
    fake = FakeQuantised(network)
    fake(pictures(4, 8)).square().sum().backward()
    for name, weight in fake.weights.items():
        assert weight.grad is not None and bool(weight.grad.any()), name
