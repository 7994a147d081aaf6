"""ONNX graphs to int8 and back under their own names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import own_networks
import pytest
import torch
from mixed_networks import SmallTokens, SmallTwo, two
from onnx import helper
from small_networks import pictures
from torch import nn

import exporters
from chita_edge.config import PruneFileConfig
from chita_edge.deploy.agreement import check_int8_agreement
from chita_edge.deploy.int8_door import as_modules, named_as
from chita_edge.deploy.int8_file import compress_to_file
from chita_edge.deploy.qdq import to_qdq
from chita_edge.engine.config import PruneConfig
from chita_edge.network.inputs import SeveralInputs
from chita_edge.quantization import CompressionConfig, UnsupportedNetworkError, compress
from exporters.interpreter import OnnxNetwork
from exporters.prepare import prepare


def test_a_graph_becomes_int8_with_its_own_names(tmp_path: Path) -> None:
    onnx.save(own_networks.as_onnx((8, 8)), tmp_path / "net.onnx")
    own_networks.samples(tmp_path / "data.npz")
    config = PruneFileConfig(dtype="int8", prune=PruneConfig(sparsity=0.5, structure="1x4"))
    made = compress_to_file(str(tmp_path / "net.onnx"), tmp_path / "int8.onnx", config, data=tmp_path / "data.npz")
    assert made.figures.sparsity == pytest.approx(0.5, abs=0.05)
    written = onnx.load(tmp_path / "int8.onnx")
    onnx.checker.check_model(written, full_check=True)
    assert [value.name for value in (*written.graph.input, *written.graph.output)] == ["image", "classes"]
    assert exporters.is_quantised(written)
    x = torch.randn(6, 3, 8, 8)
    (got,) = onnxruntime.InferenceSession(str(tmp_path / "int8.onnx")).run(None, {"image": x.numpy()})
    with torch.no_grad():
        expected = own_networks.Net().eval()(x).numpy()
    assert got.shape == expected.shape
    assert np.corrcoef(got.ravel(), expected.ravel())[0, 1] > 0.5


def test_open_sizes_stay_open_unless_int8_is_asked_for() -> None:
    network = OnnxNetwork(prepare(own_networks.as_onnx()))
    with pytest.raises(UnsupportedNetworkError, match="leaves its input's open"):
        as_modules(network, is_asked=False)
    assert isinstance(as_modules(network), nn.Module)
    plain = own_networks.Net()
    assert as_modules(plain, is_asked=False) is plain


def test_a_graph_whose_nodes_mix_samples_is_refused() -> None:
    given = with_norm(17)
    given.graph.node.insert(6, helper.make_node("ReduceMax", ["d"], ["top"]))
    given.graph.node.insert(7, helper.make_node("Div", ["d", "top"], ["scaled"]))
    given.graph.node[8].input[0] = "scaled"
    network = OnnxNetwork(prepare(given))
    network.settle(pictures(2, 0, 8))
    with pytest.raises(UnsupportedNetworkError, match="fixes its batch to one sample"):
        as_modules(network)


def with_norm(opset: int) -> onnx.ModelProto:
    """A norm over the channels between two convolutions, for one image."""
    rng = np.random.default_rng(0)
    make = helper.make_node
    nodes = [
        make("Conv", ["image", "stem"], ["a"], "stem", pads=[1, 1, 1, 1], strides=[2, 2]),
        make("Transpose", ["a"], ["t"], perm=[0, 2, 3, 1]),
        make("LayerNormalization", ["t", "s", "z"], ["n"], "norm"),
        make("Transpose", ["n"], ["b"], perm=[0, 3, 1, 2]),
        make("Conv", ["b", "second"], ["c"], "second", pads=[1, 1, 1, 1]),
        make("LeakyRelu", ["c"], ["d"]),
        make("GlobalAveragePool", ["d"], ["p"]),
        make("Flatten", ["p"], ["f"]),
        make("Gemm", ["f", "head"], ["classes"], "head", transB=1),
    ]
    shapes = {"stem": (16, 3, 3, 3), "second": (16, 16, 3, 3), "head": (4, 16), "s": (16,), "z": (16,)}
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("classes", onnx.TensorProto.FLOAT, [1, 4])],
        [
            onnx.numpy_helper.from_array((rng.standard_normal(shape) / shape[-1]).astype(np.float32), name)
            for name, shape in shapes.items()
        ],
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=helper.find_min_ir_version_for(opsets))


@pytest.mark.parametrize("opset", [17, 21])
def test_a_graph_keeps_its_own_nodes_where_they_have_no_integer_form(opset: int, tmp_path: Path) -> None:
    network = OnnxNetwork(prepare(with_norm(opset)))
    modules, images = as_modules(network), pictures(30, 5, 8)
    config = CompressionConfig(sparsity=0.5, rows=300, curvature_images=8, activation_rounds=1)
    found = compress(modules, images, config).network
    assert found is not None
    assert [step.op for step in found.graph.steps] == [
        "input", "layer", "float", "quantise", "layer", "table", "average_pool", "flatten", "layer",
    ]  # fmt: skip
    written = to_qdq(found, images[:1])
    named_as(written, network)
    onnx.checker.check_model(written, full_check=True)
    assert [node.op_type for node in written.graph.node if "float" in node.output[0]].count("LayerNormalization") == 1
    exporters.save(exporters.to_sparse_int8(written).model, tmp_path / "model.onnx")
    assert max(check_int8_agreement(found, tmp_path / "model.onnx", pictures(2, 9, 8)).values()) < 0.05
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    assert [value.name for value in (*session.get_inputs(), *session.get_outputs())] == ["image", "classes"]


def test_modules_that_compute_something_else_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    network = OnnxNetwork(prepare(with_norm(17)))
    as_modules(network, pictures(2, 0, 8))
    monkeypatch.setattr("chita_edge.deploy.int8_door.to_modules", lambda _: nn.Flatten())
    with pytest.raises(UnsupportedNetworkError, match="something else than the graph"):
        as_modules(network, pictures(2, 0, 8))


def test_tokens_of_a_graph_are_rows_too(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, images = SmallTokens().eval(), pictures(20, 5)
    network = OnnxNetwork(prepare(exporters.to_onnx(model, images[:2])))
    config = CompressionConfig(sparsity=0.5, rows=300, curvature_images=4, activation_rounds=0)
    found = compress(as_modules(network, images[:2]), images, config).network
    assert found is not None
    assert len(found.layers) == 7
    written = to_qdq(found, images[:1])
    onnx.checker.check_model(written, full_check=True)
    exporters.save(exporters.to_sparse_int8(written).model, tmp_path / "model.onnx")
    assert max(check_int8_agreement(found, tmp_path / "model.onnx", pictures(2, 9)).values()) < 0.1


def test_a_graph_of_several_inputs_keeps_their_names() -> None:
    torch.manual_seed(0)
    model, samples = SmallTwo().eval(), two(20, 5)
    graph = exporters.to_onnx(model, samples)
    for value, name in zip(graph.graph.input, ("an image", "row", "token"), strict=True):
        for node in graph.graph.node:
            node.input[:] = [name if one == value.name else one for one in node.input]
        value.name = name
    network = OnnxNetwork(prepare(graph))
    batch = SeveralInputs(samples)
    found = compress(as_modules(network, batch[:2]), batch, CompressionConfig(rows=200, curvature_images=4)).network
    assert found is not None
    made = to_qdq(found, batch[:1])
    named_as(made, network)
    onnx.checker.check_model(made, full_check=True)
    assert [value.name for value in made.graph.input] == ["an image", "row", "token"]
    session = onnxruntime.InferenceSession(made.SerializeToString())
    feeds = dict(zip(network.input_names, (one.numpy() for one in samples), strict=True))
    difference = np.abs(session.run(None, feeds)[0] - model(*samples).detach().numpy()).max()
    assert difference < 0.1
