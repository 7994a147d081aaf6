"""Stock ONNX Runtime computes the same codes from the same integers, written as quantise-dequantise ops."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from mixed_networks import FewTokens, SmallMixed, SmallMixedSeries, SmallNext
from onnx.reference import ReferenceEvaluator
from small_networks import (
    SmallExcited,
    SmallMobile,
    SmallRecording,
    SmallResidual,
    SmallSeries,
    inputs_of,
    pictures,
    settled,
)
from torch import nn

import exporters
from chita_edge.deploy.int8_products import products_are_exact
from chita_edge.deploy.qdq import to_qdq
from chita_edge.deploy.qdq_parts import part_nodes, step_output
from chita_edge.quantization import CompressionConfig, Grid, QuantisedNetwork, compress
from chita_edge.quantization.graph import Step
from chita_edge.quantization.integer_reference import integer_forward
from exporters.weights import nibbles

KINDS = (SmallResidual, SmallMobile, SmallExcited, SmallSeries, SmallRecording)


def quantised(kind: type[nn.Module], bits: int) -> QuantisedNetwork:
    config = CompressionConfig(
        sparsity=0.5, rows=500, curvature_images=8, weight_bits=bits, weight_rounding="nearest", activation_rounds=1
    )
    network = compress(settled(kind), inputs_of(kind)(40, 5), config).network
    assert network is not None
    return network


def outputs(model: onnx.ModelProto, images: torch.Tensor) -> dict[str, np.ndarray]:
    """The network's output and the codes of every step, by stock ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"input": images.numpy()}), strict=True))


def with_codes(model: onnx.ModelProto, network: QuantisedNetwork) -> onnx.ModelProto:
    """The model with the codes of every step among its outputs."""
    seen = onnx.ModelProto.FromString(model.SerializeToString())
    seen.graph.output.extend(
        onnx.helper.make_tensor_value_info(f"{name}/codes", onnx.TensorProto.UINT8, None) for name in coded(network)
    )
    return seen


def coded(network: QuantisedNetwork) -> list[str]:
    """The steps with codes in the file: series that the network gives are real there."""
    return [name for name in network.grids if network.graph[name].op != "series"]


def assert_same_codes(network: QuantisedNetwork, images: torch.Tensor) -> None:
    wanted = integer_forward(network, images)
    model = to_qdq(network, images)
    onnx.checker.check_model(model, full_check=True)
    # Alone, runtimes fuse more than when every step is an output.
    assert (outputs(model, images)["logits"] == network(images).numpy()).all()
    found = outputs(with_codes(model, network), images)
    for name in coded(network):
        assert (found[f"{name}/codes"] == wanted[name]).all(), name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bits", [7, 8])
def test_every_code_is_the_same(kind: type[nn.Module], bits: int) -> None:
    """Weights of 7 bits: with more, ONNX Runtime's sums saturate on processors with AVX2 and without VNNI."""
    if bits > 7 and not products_are_exact():
        pytest.skip("ONNX Runtime's sums of 8-bit products saturate on this processor")
    assert_same_codes(quantised(kind, bits), inputs_of(kind)(16, 9))


def test_weights_of_four_bits_are_two_a_byte_and_compute_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(1024, 4)]
    config = CompressionConfig(sparsity=0.5, rows=300, curvature_images=8, weight_bits=4, weight_rounding="nearest")
    network = compress(nn.Sequential(*layers).eval(), pictures(30, 5), config).network
    assert network is not None
    assert_same_codes(network, pictures(4, 9))
    written = to_qdq(network, pictures(1))
    packed = exporters.to_sparse_int8(written)
    assert [layer.op for layer in packed.layers][:2] == ["QDenseConv", "QBlockConv"]
    monkeypatch.setattr(nibbles, "LEAST", 1 << 30)
    whole = sum(layer.weight.numel() for layer in network.layers.values())
    assert len(written.SerializeToString()) < len(to_qdq(network, pictures(1)).SerializeToString()) - 0.3 * whole
    nnz = [int((one.weight != 0).sum()) for one in network.layers.values()]
    assert [layer.nnz for layer in packed.layers][:2] == nnz[:2]


def test_a_clip_that_the_grid_does_not_do_is_a_table() -> None:
    network = quantised(SmallResidual, 7)
    grids = {name: Grid(grid.scale, 0 if name == "x" else 60) for name, grid in network.grids.items()}
    assert_same_codes(QuantisedNetwork(network.graph, network.layers, grids), pictures(8, 9))


def test_without_fusion_the_answers_are_close() -> None:
    network, images = quantised(SmallExcited, 8), pictures(4, 9)
    (found,) = ReferenceEvaluator(to_qdq(network, images)).run(None, {"input": images.numpy()})
    wanted = network(images).numpy()
    assert np.abs(found - wanted).max() <= 0.05 * np.abs(wanted).max()


def test_the_batch_is_open_and_layers_keep_their_names() -> None:
    network = quantised(SmallMobile, 8)
    model = to_qdq(network, pictures(1))
    assert len(outputs(model, pictures(3, 9))["logits"]) == 3
    assert {node.name for node in model.graph.node if node.op_type in ("Conv", "Gemm")} == set(network.layers)


def test_a_convolution_may_give_the_output() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 5, 1)).eval()
    config = CompressionConfig(sparsity=0.0, rows=500, curvature_images=8)
    network = compress(model, pictures(20, 5), config).network
    assert network is not None
    found = outputs(to_qdq(network, pictures(1)), pictures(4, 9))["logits"]
    if products_are_exact():
        assert (found == network(pictures(4, 9)).numpy()).all()
    assert found.shape == (4, 5, 12, 12)


@pytest.mark.parametrize("kind", [SmallMixed, SmallMixedSeries, SmallNext, FewTokens])
def test_float_steps_stand_between_the_integers(kind: type[nn.Module]) -> None:
    network, images = quantised(kind, 7), inputs_of(kind)(4, 9)
    model = to_qdq(network, images)
    onnx.checker.check_model(model, full_check=True)
    floats = [step_output(step.name) for step in network.graph.floats]
    seen = with_codes(model, network)
    seen.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in floats)
    found = outputs(seen, images)
    given = {step.name: torch.from_numpy(found[step_output(step.name)]) for step in network.graph.floats}
    for step, codes in network.walk(images, given):
        if step.name in network.grids:
            assert (found[f"{step.name}/codes"] == codes.numpy()).all(), step.name
    assert np.abs(outputs(model, images)["logits"] - network(images).numpy()).max() < 0.02
    names = {node.name for node in model.graph.node}
    assert names >= set(network.layers) | ({"norm"} if kind in (SmallMixed, SmallNext) else set())


def test_a_part_that_gives_what_it_reads_is_a_node_too() -> None:
    step = Step("step", "float", ("x",), part=nn.Identity())
    (node,), constants = part_nodes(step, (torch.zeros(2, 3),), ["x"], "y", 19)
    assert (node.op_type, list(node.input), list(node.output), constants) == ("Identity", ["x"], ["y"], [])
