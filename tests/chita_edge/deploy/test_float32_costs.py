"""Predicted cost of a float32 network by its graph, beside the cost model of its ONNX file."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small_networks import SmallMobile, SmallSeries, inputs_of, settled
from torch import nn

import exporters
import runtimes
from chita_edge.deploy.decide import layer_cost
from chita_edge.deploy.dense import dense_graph
from chita_edge.deploy.float32_costs import float32_cost
from chita_edge.deploy.int8_costs import Int8Costs
from chita_edge.quantization import trace
from runtimes.int8_costs import load_int8_rates


@pytest.mark.parametrize("kind", [SmallMobile, SmallSeries])
def test_is_the_sum_of_the_cheaper_forms_of_the_layers_of_the_file(kind: type[nn.Module]) -> None:
    model, image, target = settled(kind), inputs_of(kind)(1), runtimes.get_target("x86_64")
    costs = Int8Costs(load_int8_rates("x86_64"))
    layers = exporters.describe(dense_graph(model, image)).layers
    graph = trace(model)
    names = [step.name for step in graph.steps if step.layer is not None]
    others, of_int8 = 0.0, []
    for step, inputs, value in graph.walk(image):
        if step.layer is None:
            others += costs.rates.elements(value.numel())
        else:
            of_int8.append(costs.layer(step, inputs[0]))
    for sparsity in (0.0, 0.5, 0.9):
        known = [layer_cost(target, replace(layer, sparsity=sparsity)) for layer in layers]
        wanted = others + sum(
            int8 if min(cost.ours, cost.dense) == 0 else min(cost.ours, cost.dense)
            for int8, cost in zip(of_int8, known, strict=True)
        )
        assert float32_cost(target, costs, graph, image, names, sparsity) == pytest.approx(wanted, rel=0.2)
        assert float32_cost(target, costs, graph, image, [], sparsity) == float32_cost(
            target, costs, graph, image, names, 0.0
        )


def test_a_layer_that_was_measured_costs_what_the_table_says() -> None:
    target, costs = runtimes.get_target("x86_64"), Int8Costs(load_int8_rates("x86_64"))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(128, 128, 1, bias=False), nn.ReLU(), nn.Conv2d(128, 256, 1)).eval()
    image = torch.randn(1, 128, 28, 28)
    (first, second) = exporters.describe(dense_graph(model, image)).layers
    graph = trace(model)
    for sparsity in (0.0, 0.7, 0.9):
        wanted = [layer_cost(target, replace(layer, sparsity=sparsity)) for layer in (first, second)]
        (entry,) = (costs.rates.elements(value.numel()) for step, _, value in graph.walk(image) if step.layer is None)
        found = float32_cost(target, costs, graph, image, ["0", "2"], sparsity)
        assert found == pytest.approx(entry + sum(min(cost.ours, cost.dense) for cost in wanted), rel=1e-6)
