"""Every step of an integer network against the plain integer reference, to the bit."""

from __future__ import annotations

import pytest
import torch
from mixed_networks import SmallMixed, SmallMixedSeries, SmallNext, SmallTokens, SmallTwo, two
from small_networks import SmallMobile, SmallRecording, SmallResidual, SmallSeries, inputs_of, pictures, settled
from torch import nn

from chita_edge.network.inputs import SeveralInputs
from chita_edge.quantization import CompressionConfig, Grid, QuantisedLayer, QuantisedNetwork, compress, trace
from chita_edge.quantization.arithmetic import accumulate, function_table
from chita_edge.quantization.fake import FakeQuantised
from chita_edge.quantization.graph import FUNCTIONS, Layer
from chita_edge.quantization.integer_reference import integer_forward


def quantised(kind: type[nn.Module], **options: object) -> QuantisedNetwork:
    config = CompressionConfig(sparsity=0.5, rows=500, curvature_images=8, **options)  # type: ignore[arg-type]
    network = compress(settled(kind), inputs_of(kind)(40, 5), config).network
    assert network is not None
    return network


@pytest.mark.parametrize(
    "kind",
    [SmallResidual, SmallMobile, SmallSeries, SmallRecording, SmallMixed, SmallMixedSeries, SmallTokens, SmallNext],
)
@pytest.mark.parametrize("bits", [8, 4])
def test_codes_equal_the_integers_after_every_step(kind: type[nn.Module], bits: int) -> None:
    network, images = quantised(kind, weight_bits=bits), inputs_of(kind)(3, 9)
    wanted = integer_forward(network, images)
    fake = FakeQuantised(network)
    for walked in (network.walk(images), fake.walk(images)):
        for step, values in walked:
            found = values.detach().numpy()
            assert (found == wanted[step.name]).all(), step.name
            assert step.name == network.graph.output or len(set(found.ravel().tolist())) > 4, step.name
    assert {step.name for step in network.graph.floats}.isdisjoint(network.grids)
    output = torch.tensor(wanted[network.graph.output])
    grid = network.grids.get(network.graph.output)
    assert torch.equal(network(images), output if grid is None else grid.dequantise(output))


@pytest.mark.parametrize("kind", [SmallResidual, SmallMobile])
def test_saturating_grids_and_zero_points_at_both_ends(kind: type[nn.Module]) -> None:
    network, images = quantised(kind), 4 * pictures(2, 3)
    for zero in (0, 255):
        grids = {name: Grid(grid.scale / 3, zero) for name, grid in network.grids.items()}
        for step in network.graph.steps:  # those that hand on codes share their input's grid
            if step.op in ("max_pool", "flatten"):
                grids[step.name] = grids[step.inputs[0]]
        extreme = QuantisedNetwork(network.graph, network.layers, grids)
        wanted = integer_forward(extreme, images)
        for step, values in extreme.walk(images):
            assert (values.numpy() == wanted[step.name]).all(), step.name


@pytest.mark.parametrize("bias", [0, 2**31 - 1 - 255 * 127 * 700, -(2**30)])
def test_sums_beyond_float32_are_exact(bias: int) -> None:
    rng = torch.Generator().manual_seed(0)
    weight = torch.randint(100, 128, (2, 700), generator=rng).to(torch.int8)
    codes = torch.randint(200, 256, (5, 700), generator=rng).float()
    sums = accumulate(Layer(weight.float(), torch.zeros(2)), codes, Grid(1.0, 3), weight.float(), torch.tensor(bias))
    exact = (codes.long() - 3) @ weight.long().T + bias
    assert int(exact.abs().max()) > 1 << 24
    assert torch.equal(sums, exact.float())


@pytest.mark.parametrize("function", list(FUNCTIONS))
def test_tables_hold_the_rounded_function(function: str) -> None:
    grid, out = Grid(0.05, 130), Grid.spanning(-1.0, 6.0)
    real = FUNCTIONS[function](grid.dequantise(torch.arange(256)))
    assert float((function_table(FUNCTIONS[function], grid, out) - out.quantise(real)).abs().max()) <= 1


def test_multiplier_is_the_float32_product_then_quotient() -> None:
    graph = trace(nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU(), nn.Conv2d(2, 2, 1)).eval())
    first, second = graph.layers
    grids = {graph.steps[0].name: Grid.spanning(-1.0, 2.0), first: Grid.spanning(0.0, 3.0)}
    layers = {
        name: QuantisedLayer(torch.ones(2, 3 - n, 1, 1, dtype=torch.int8), torch.tensor([0.1, 0.007]),
                             torch.zeros(2, dtype=torch.int32), torch.ones(2, 3 - n, 1, 1).bool())
        for n, name in enumerate((first, second))
    }  # fmt: skip
    network = QuantisedNetwork(graph, layers, grids)
    s_x, s_y = (torch.tensor(grids[name].scale) for name in (graph.steps[0].name, first))
    assert torch.equal(network.multiplier(first), (s_x * torch.tensor([0.1, 0.007])) / s_y)
    assert torch.equal(network.multiplier(second), s_y * torch.tensor([0.1, 0.007]))


def test_goes_on_from_what_another_runtime_made_of_a_float_step() -> None:
    network, images = quantised(SmallMixed), pictures(2, 3)
    step = network.graph.floats[0]
    zeros = torch.zeros_like(next(value for one, value in network.walk(images) if one.name == step.name))
    walked = {one.name: value for one, value in network.walk(images, {step.name: zeros})}
    (reader,) = network.graph.readers(step.name)
    assert set(walked[reader.name].flatten().tolist()) == {float(network.grids[reader.name].zero)}


@pytest.mark.parametrize("named", [False, True])
def test_several_inputs_each_have_a_grid_of_their_own(named: bool) -> None:
    torch.manual_seed(0)
    model, config = SmallTwo().eval(), CompressionConfig(sparsity=0.5, rows=300, curvature_images=8)
    order = (1, 0, 2) if named else (0, 1, 2)
    names = ("row", "image", "token") if named else None

    def batch(count: int, seed: int) -> SeveralInputs:
        tensors = two(count, seed)
        return SeveralInputs(tuple(tensors[place] for place in order), names)

    network = compress(model, batch(30, 5), config).network
    assert network is not None
    assert {"image", "row"} < set(network.grids) and network.grids["image"] != network.grids["row"]
    assert [step.op for step in network.graph.steps[:3]] == ["input", "input", "given"]
    images = batch(3, 9)
    wanted = integer_forward(network, images)
    for walked in (network.walk(images), FakeQuantised(network).walk(images)):
        for step, values in walked:
            assert (values.detach().numpy() == wanted[step.name]).all(), step.name
    output = network(images)
    given = images.named() if named else {}
    assert torch.equal(output, network(**given) if named else network(*images.tensors))
    with torch.no_grad():
        torch.testing.assert_close(output, model(*two(3, 9)), rtol=0, atol=0.4)
