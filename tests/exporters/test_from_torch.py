"""Torch → dense ONNX."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from exporters import Decision, UnsupportedModelError, to_onnx, to_sparse


@pytest.fixture
def dense(small_dense: bytes) -> onnx.ModelProto:
    return onnx.ModelProto.FromString(small_dense)


def test_the_graph_is_what_ort_runs_best(dense: onnx.ModelProto) -> None:
    assert [node.op_type for node in dense.graph.node] == [
        *("Conv", "Clip", "Conv", "Relu", "Conv", "Clip"),
        *("GlobalAveragePool", "Flatten", "Gemm"),
    ]
    onnx.checker.check_model(dense, full_check=True)


def test_names_are_the_networks_own(dense: onnx.ModelProto) -> None:
    layers = ["features.0.0", "features.1.0", "features.2.0", "classifier.1"]
    assert {tensor.name for tensor in dense.graph.initializer} == {
        *(f"{layer}.{part}" for layer in layers for part in ("weight", "bias")),
        *("bound.0", "bound.6"),
    }
    assert [node.name for node in dense.graph.node if node.op_type in ("Conv", "Gemm")] == layers


def test_the_batch_is_dynamic_and_the_rest_fixed(dense: onnx.ModelProto) -> None:
    (source,), (target,) = dense.graph.input, dense.graph.output
    assert (source.name, target.name) == ("input", "logits")
    dims = [dim.dim_param or dim.dim_value for dim in source.type.tensor_type.shape.dim]
    assert dims == ["batch", 1, 8, 8]
    assert [dim.dim_param or dim.dim_value for dim in target.type.tensor_type.shape.dim] == ["batch", 10]


@pytest.mark.parametrize("batch", [1, 3])
def test_output_equals_torch(
    dense: onnx.ModelProto, small_net: nn.Module, rng: np.random.Generator, run_stock: Callable, batch: int
) -> None:
    x = rng.normal(size=(batch, 1, 8, 8)).astype(np.float32)
    with torch.no_grad():
        want = small_net(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(run_stock(dense, {"input": x})[0], want, rtol=1e-4, atol=1e-5)


def test_nothing_but_what_runtimes_read_is_in_the_file(dense: onnx.ModelProto) -> None:
    graph = dense.graph
    assert dense.producer_name == "chita-edge"
    assert not dense.producer_version
    assert not dense.metadata_props
    for part in (dense, graph, *graph.node, *graph.value_info, *graph.initializer, *graph.input, *graph.output):
        assert not part.doc_string
        if part is not dense:
            assert not part.metadata_props
    weights = sum(numpy_helper.to_array(tensor).nbytes for tensor in graph.initializer)
    assert dense.ByteSize() < weights + 4096


_MAKE = """
import torch
from exporters import to_bytes, to_onnx
from torch import nn

torch.manual_seed(1)
layers = [nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
data = to_bytes(to_onnx(nn.Sequential(*layers, nn.Linear(4, 2)), torch.zeros(1, 1, 6, 6)))
"""


def test_same_weights_same_bytes_in_every_process(tmp_path: Path) -> None:
    here: dict[str, bytes] = {}
    exec(_MAKE, here)
    root = str(Path(sys.modules["exporters"].__file__ or "").parents[1])
    code = f"import sys; sys.path.insert(0, sys.argv[2]); {_MAKE}open(sys.argv[1], 'wb').write(data)"
    # A hash seed of its own, so that an order of sets would show.
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "x"), root], check=True, env={"PYTHONHASHSEED": "1"})
    assert (tmp_path / "x").read_bytes() == here["data"]


def test_the_network_is_left_as_it_was() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(8, 2)).train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    to_onnx(net, torch.zeros(2, 1, 2, 2))
    assert net.training
    assert net[1].inplace
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


class _Branch(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1 if bool(x.sum() > 0) else x - 1


def test_what_cannot_be_traced_is_refused_in_a_sentence(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UnsupportedModelError, match="torch cannot export _Branch"):
        to_onnx(_Branch(), torch.zeros(1, 1, 4, 4))
    assert capfd.readouterr().out == ""


def test_the_exporter_is_silent_and_leaves_logging_alone(capfd: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    to_onnx(nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten(), nn.Linear(8, 2)), torch.zeros(1, 1, 2, 2))
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
    assert logger.level == level


class Standardised(nn.Conv2d):
    """A convolution whose weight is worked out from its parameter."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        centred = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return nn.functional.conv2d(x, centred / centred.std((1, 2, 3), keepdim=True), self.bias)


def test_weights_that_are_worked_out_from_parameters_are_constants_of_a_valid_model(
    rng: np.random.Generator, run_stock: Callable
) -> None:
    normed = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 1))
    network = nn.Sequential(normed, nn.ReLU(), Standardised(4, 4, 3), nn.Flatten(), nn.Linear(4 * 16, 5)).eval()
    model = to_onnx(network, torch.zeros(2, 3, 6, 6))
    onnx.checker.check_model(model, full_check=True)
    assert [row.format for row in to_sparse(model, lambda layer: Decision(True, "test")).layers] == ["csr"] * 3
    x = rng.normal(size=(2, 3, 6, 6)).astype(np.float32)
    want = network(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(run_stock(model, {"input": x})[0], want, rtol=1e-4, atol=1e-5)


class TwoInputs(nn.Module):
    """Two inputs, two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 4, 1)

    def forward(self, x: torch.Tensor, factor: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        z = self.body(x)
        return z * factor, z.mean((2, 3))


def test_several_inputs_and_outputs() -> None:
    torch.manual_seed(0)
    network, inputs = TwoInputs().eval(), (torch.randn(1, 3, 4, 4), torch.ones(2, 1, 1, 1))
    session = onnxruntime.InferenceSession(to_onnx(network, inputs).SerializeToString())
    assert [given.name for given in session.get_inputs()] == ["input_0", "input_1"]
    given = torch.randn(3, 3, 4, 4), torch.randn(3, 1, 1, 1)
    found = session.run(None, {f"input_{number}": tensor.numpy() for number, tensor in enumerate(given)})
    for one, expected in zip(found, network(*given), strict=True):
        np.testing.assert_allclose(one, expected.detach().numpy(), rtol=1e-4, atol=1e-5)


def test_a_module_that_keeps_an_activation_is_a_sentence() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1))
    network.register_forward_hook(lambda module, given, output: setattr(module, "last", output))
    network(torch.ones(1, 3, 4, 4))
    with pytest.raises(UnsupportedModelError, match="Sequential cannot be copied"):
        to_onnx(network, torch.ones(1, 3, 4, 4))
