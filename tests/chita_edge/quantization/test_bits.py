"""Which layers keep eight bits."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
import torch
from small_networks import SmallResidual, pictures, settled

from chita_edge.quantization import CompressionConfig, Plan, QuantizationOptionError, compress_plan, prepare
from chita_edge.quantization.bits import share_bits
from chita_edge.quantization.budgets import BY_WEIGHTS
from chita_edge.quantization.distill import DistillConfig, distill_through_rounding
from chita_edge.quantization.plan import layer_constraints

CONFIG = CompressionConfig(
    sparsity=0.5, weight_bits=4, mean_bits=5.5, rows=400, curvature_images=10, activation_rounds=0
)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return prepare(settled(SmallResidual), pictures(20), CONFIG)


@pytest.mark.parametrize("mean", [4.0, 4.7, 5.5, 7.0, 8.0])
def test_is_the_least_loss_of_all_choices(plan: Plan, mean: float) -> None:
    constraints = layer_constraints(plan, CONFIG)
    found = share_bits(plan, replace(CONFIG, mean_bits=mean), constraints)
    kept = {name: constraints[name].total for name in plan.prunable}

    def loss(bits: dict[str, int]) -> float:
        curves = plan.curves["1x4"]
        return sum(
            c.sensitivity ** BY_WEIGHTS[0] * c.weights ** BY_WEIGHTS[1] * c.rounding * 4.0 ** (4 - bits[name])
            for name, c in curves.items()
        )

    allowed = mean * sum(kept.values())
    every = [dict(zip(kept, choice, strict=True)) for choice in product((4, 8), repeat=len(kept))]
    within = [bits for bits in every if sum(kept[name] * bits[name] for name in kept) <= allowed]
    assert sum(kept[name] * found[name] for name in kept) <= allowed
    # Costs are rounded up to 1/4,000 of the budget, so that one that is just enough can be passed over.
    near = [bits for bits in within if sum(kept[name] * bits[name] for name in kept) <= allowed * 0.998] or within
    assert loss({name: found[name] for name in kept}) <= min(map(loss, near)) * (1 + 1e-9)
    assert all(found[name] == 8 for name in plan.graph.layers if name not in kept)


def test_codes_have_these_bits_and_keep_them_in_training(plan: Plan) -> None:
    images = pictures(20)
    network = compress_plan(plan, images, CONFIG).network
    assert network is not None
    wanted = share_bits(plan, CONFIG, layer_constraints(plan, CONFIG))
    assert {name: layer.bits for name, layer in network.layers.items()} == wanted
    assert set(wanted.values()) == {4, 8}
    taught = distill_through_rounding(network, lambda x: network.graph(x).flip(1), images, DistillConfig(2, 3e-2))
    for name, layer in taught.layers.items():
        assert int(layer.weight.int().abs().max()) <= 2 ** (wanted[name] - 1) - 1
    assert any(not torch.equal(taught.layers[name].weight, network.layers[name].weight) for name in wanted)


def test_rounding_errors_do_not_change_with_bits_that_are_asked_for(plan: Plan) -> None:
    assert all(0 < curve.rounding < 0.1 for curve in plan.curves["1x4"].values())
    assert share_bits(plan, replace(CONFIG, mean_bits=None), {}) == dict.fromkeys(plan.graph.layers, 4)


@pytest.mark.parametrize("mean", [3.0, 8.5])
def test_an_average_outside_the_bits_is_refused(mean: float) -> None:
    with pytest.raises(QuantizationOptionError, match="on average"):
        replace(CONFIG, mean_bits=mean)
