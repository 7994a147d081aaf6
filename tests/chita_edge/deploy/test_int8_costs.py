"""Predicted costs of int8 networks, from their graph and from what the exporter decides."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small_networks import SmallResidual, pictures, settled
from torch import nn

import runtimes
from chita_edge.deploy.export import export_int8
from chita_edge.deploy.int8_costs import Int8Costs, int8_format
from chita_edge.deploy.int8_network import Int8Network
from chita_edge.pruning import Constraint, get_pattern
from chita_edge.quantization import CompressionConfig, compress_plan, prepare, trace
from chita_edge.quantization.budgets import LEVELS
from chita_edge.quantization.graph import Layer, Step
from exporters import QuantisedCandidate, QuantisedDecide, QuantisedDecision
from runtimes.int8_costs import load_int8_rates

STRUCTURES = ("1x4", "2x4")


def test_costs_of_a_grouped_layer_are_those_of_its_own_blocks() -> None:
    costs = Int8Costs(load_int8_rates("x86_64"))
    x = torch.zeros(1, 32, 10, 10)

    def cost(groups: int, outputs: int = 32) -> float:
        layer = Layer(torch.ones(outputs, 32 // groups, 3, 3), torch.zeros(outputs), (1, 1), (1, 1), groups=groups)
        return costs.layer(Step("layer", "layer", ("x",), layer=layer), x)

    assert cost(8) < cost(1)
    assert cost(32) == costs.rates.depthwise_layer(32 * 9 * 100, 32 * 100)
    assert cost(32, 64) > cost(8)  # each block holds one weight


@pytest.mark.parametrize("target", ["arm64", "x86_64"])
def test_a_network_costs_what_the_exporter_says_of_its_layers(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    decided: dict[str, float] = {}

    def recording(of: runtimes.Target) -> QuantisedDecide:
        decide = int8_format(of)

        def recorded(layer: QuantisedCandidate) -> QuantisedDecision:
            decision = decide(layer)
            decided[layer.name] = decision.ours
            return decision

        return recorded

    monkeypatch.setattr("chita_edge.deploy.export.int8_format", recording)
    images = pictures(20)
    config = CompressionConfig(rows=400, curvature_images=8, activation_rounds=0)
    plan = prepare(settled(SmallResidual), images, config, structures=STRUCTURES)
    costs = Int8Costs(load_int8_rates(target)).network(plan.graph, images[:1], plan.prunable, STRUCTURES)
    assert set(costs.layers) == set(plan.prunable)
    shapes = {name: plan.graph.layers[name].weight.shape for name in plan.prunable}
    patterns = {name: get_pattern(STRUCTURES[number % 2]) for number, name in enumerate(plan.prunable)}
    halves = {name: Constraint(patterns[name], (shape,), (shape.numel() // 2,)) for name, shape in shapes.items()}
    for constraints in ({}, halves):
        network = compress_plan(plan, images, replace(config, sparsity=0.0), constraints=constraints).network
        assert network is not None
        export_int8(Int8Network(network, "1x4", plan.prunable), images[:1], runtimes.get_target(target))
        for name in plan.prunable:
            predicted = costs.layers[name].dense
            if name in constraints:
                predicted = costs.layers[name].at(patterns[name].name, constraints[name].total / shapes[name].numel())
            # The exporter pads channels to four, and takes what is stored in fewer bytes where costs are alike.
            assert decided[name] == pytest.approx(predicted, rel=0.05)
    every = costs.fixed + sum(layer.dense for layer in costs.layers.values())
    assert costs.predicted({}) == costs.dense == pytest.approx(every)
    assert costs.predicted(halves) <= costs.dense
    assert costs.least(0.05) <= costs.least(0.5) <= costs.dense


def test_blocks_cost_more_with_more_weights() -> None:
    plan = prepare(settled(SmallResidual), pictures(8), CompressionConfig(rows=400, curvature_images=8))
    costs = Int8Costs(load_int8_rates("x86_64")).network(plan.graph, pictures(1), plan.prunable, STRUCTURES)
    for layer in costs.layers.values():
        for blocks in layer.blocks.values():
            assert len(blocks) == len(LEVELS) and bool((blocks[1:] > blocks[:-1]).all())


def test_a_float_step_costs_what_it_reads_and_makes_and_what_is_rounded_behind_it() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Softmax(1), nn.Conv2d(8, 4, 1)).eval()
    graph, image = trace(model, pictures(2)), pictures(1)
    costs = Int8Costs(load_int8_rates("x86_64"))
    found = costs.network(graph, image, (), ()).fixed
    values = {step.name: (inputs, value) for step, inputs, value in graph.walk(image)}
    layers = sum(costs.layer(graph[name], values[name][0][0]) for name in ("0", "2"))
    image_size, softmax_size = 3 * 144, 8 * 144
    assert found == pytest.approx(
        layers + costs.rates.elements(image_size) + 3 * costs.rates.elements(softmax_size), rel=1e-9
    )
