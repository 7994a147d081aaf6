from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small_networks import SmallMobile, SmallResidual, pictures, settled
from torch import nn

from chita_edge.pruning import get_pattern
from chita_edge.quantization import (
    CompressionConfig,
    QuantizationError,
    QuantizationOptionError,
    compress,
    compress_plan,
    prepare,
    tempered_divergence,
)

CONFIG = CompressionConfig(sparsity=0.5, rows=600, curvature_images=16)


@pytest.mark.parametrize("kind", [SmallResidual, SmallMobile])
def test_dense_int8_is_close_and_float32_is_the_network(kind: type[nn.Module]) -> None:
    model, images, others = settled(kind), pictures(60, 5), pictures(60, 6)
    with torch.no_grad():
        dense = model(others)
    spread = float(dense.std())
    for dtype, tolerance in (("int8", 0.05), ("float32", 2e-3)):
        made = compress(model, images, replace(CONFIG, sparsity=0.0, ridge=1e-4, dtype=dtype))
        assert float((made(others) - dense).square().mean().sqrt()) < tolerance * spread, dtype
        assert (made.network is None) == (dtype == "float32")
        assert all(bool(mask.all()) for mask in made.masks.values())


@pytest.mark.parametrize("structure", ["1x4", "2x4", "unstructured", "2:4"])
def test_zeros_are_of_the_pattern_and_in_the_budget(structure: str) -> None:
    config = replace(CONFIG, structure=structure)
    made = compress(settled(SmallResidual), pictures(40, 5), config)
    assert made.network is not None
    pattern = get_pattern(structure)
    names = ("first", "second", "shortcut", "branch")
    kept = 0
    for name, mask in made.masks.items():
        if name not in names:
            assert bool(mask.all())
            continue
        kept += int(mask.sum())
        units = pattern.unit_scores(mask.float())
        if structure in ("1x4", "2x4"):
            assert bool(((units == 0) | (units == pattern.unit_sizes(mask.shape))).all())
        weight = made.network.layers[name].weight
        assert bool((weight[~mask] == 0).all())
        assert torch.equal(made.graph.layers[name].weight, made.network.layers[name].real_weight)
    total = sum(made.masks[name].numel() for name in names)
    assert 0.4 * total < kept <= 0.5 * total


def test_search_and_refit_come_closer_than_the_largest_weights() -> None:
    model, images, others = settled(SmallResidual), pictures(100, 5), pictures(100, 6)
    with torch.no_grad():
        dense = model(others)
    plan = prepare(model, images, CONFIG)
    distances = [
        tempered_divergence(compress_plan(plan, images, config)(others), dense)
        for config in (CONFIG, replace(CONFIG, search=False), replace(CONFIG, search=False, ridge=1e6))
    ]
    assert distances[0] < 1.1 * distances[1] < distances[2]


def test_parts_of_a_concatenation_share_its_grid() -> None:
    network = compress(settled(SmallResidual), pictures(40, 5), CONFIG).network
    assert network is not None
    joins = [step for step in network.graph.steps if step.op == "concat"]
    assert len(joins) == 2
    last = joins[1]
    assert network.grids["average"] == network.grids[last.name]


def test_a_layer_that_loses_all_its_weights_keeps_its_mean() -> None:
    model, images = settled(SmallResidual), pictures(40, 5)
    plan = prepare(model, images, CONFIG, ["first", "second"])
    masks = {"first": torch.zeros(12, 8, 3, 3).bool(), "second": torch.ones(8, 12, 3, 3).bool()}
    made = compress_plan(plan, images, replace(CONFIG, activation_rounds=0), masks=masks)
    assert made.network is not None
    assert not made.network.layers["first"].weight.any()
    with torch.no_grad():
        wanted = next(
            value for step, (x,), _ in plan.graph.walk(images) if step.name == "first" for value in [step.weights(x)]
        )
    found = made.graph.layers["first"].bias
    assert bool(made(images).isfinite().all())
    assert float((found - wanted.mean((0, 2, 3))).abs().max()) < 0.1


def test_a_layer_before_a_sum_makes_up_for_what_the_other_part_has_lost() -> None:
    model, images, others = settled(SmallResidual), pictures(100, 5), pictures(100, 6)
    config = replace(CONFIG, dtype="float32", activation_rounds=0, search=False)
    plan = prepare(model, images, config, ["second"])  # runs before the shortcut
    made = compress_plan(plan, images, config, masks={"second": torch.zeros(8, 12, 3, 3).bool()})
    name = next(step.name for step in plan.graph.steps if step.op == "add")
    alone = plan.graph.with_layers({"second": made.graph.layers["second"]})
    with torch.no_grad():
        dense, refitted, kept = (
            next(value for step, _, value in graph.walk(others) if step.name == name)
            for graph in (plan.graph, made.graph, alone)
        )
    assert float((refitted - dense).square().mean()) < 0.9 * float((kept - dense).square().mean())


def test_what_is_wrong_is_said() -> None:
    model, images = settled(SmallMobile), pictures(10)
    with pytest.raises(QuantizationError, match="no calibration images"):
        compress(model, images[:0], CONFIG)
    with pytest.raises(QuantizationError, match="NaN or infinity"):
        compress(model, torch.full_like(images, torch.nan), CONFIG)
    with pytest.raises(QuantizationOptionError, match="no layer without groups"):
        compress(model, images, CONFIG, prunable=["depthwise.0"])
    with torch.no_grad():
        model.get_parameter("last.0.weight")[0, 0] = torch.inf
    with pytest.raises(QuantizationError, match=r"weights of last\.0, batch norm folded, are not finite"):
        compress(model, images, CONFIG)
    for options, message in (
        ({"sparsity": 1.0}, "outside"),
        ({"weight_bits": 9}, "9 bits"),
        ({"activation_range": "x"}, "activation range 'x'"),
        ({"dtype": "int4"}, "no dtype 'int4'"),
        ({"weight_rounding": "up"}, "no rounding 'up'"),
        ({"rows": 0}, "at least 1"),
    ):
        with pytest.raises(QuantizationOptionError, match=message):
            CompressionConfig(**options)  # type: ignore[arg-type]


class Moved(nn.Module):
    """Channels that change places between two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x).view(-1, 2, 4, 12, 12).transpose(1, 2).reshape(-1, 8, 12, 12))


def test_codes_that_only_move_stay_as_they_are() -> None:
    torch.manual_seed(0)
    config = CompressionConfig(sparsity=0.0, rows=200, curvature_images=4, activation_rounds=0)
    network = compress(Moved().eval(), pictures(12, 5), config).network
    assert network is not None
    assert [step.op for step in network.graph.steps] == ["input", "layer", "float", "quantise", "layer"]
    _, before, _, after, _ = (step.name for step in network.graph.steps)
    assert network.grids[before] == network.grids[after]
    codes = {step.name: value for step, value in network.walk(pictures(3))}
    moved = codes[before].view(3, 2, 4, 12, 12).transpose(1, 2).reshape(3, 8, 12, 12)
    assert torch.equal(codes[after], moved)


def test_masks_of_layers_that_keep_all_weights_change_nothing() -> None:
    images = pictures(30, 5)
    config = CompressionConfig(sparsity=0.5, rows=500, curvature_images=8, activation_rounds=1, dtype="float32")
    plan = prepare(settled(SmallMobile), images, config)
    masks = compress_plan(plan, images, config).masks
    assert set(masks) > set(plan.prunable)  # depthwise layers among them
    of_prunable = {name: masks[name] for name in plan.prunable}
    first, second = (compress_plan(plan, images, replace(config, search=False), masks=m) for m in (masks, of_prunable))
    assert torch.equal(first(images), second(images))
