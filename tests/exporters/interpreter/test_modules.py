"""ONNX graphs as torch modules."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import own_networks
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from torch import nn

from exporters.interpreter import OnnxNetwork
from exporters.interpreter.dtypes import NotComputed
from exporters.interpreter.graph_node import GraphNode
from exporters.interpreter.modules import to_modules
from exporters.prepare import prepare


def mobile() -> onnx.ModelProto:
    """Every operator that quantisation knows, as exporters write them."""
    rng = np.random.default_rng(0)

    def weight(*shape: int) -> np.ndarray[Any, Any]:
        return (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    make = helper.make_node
    nodes = [
        make("Conv", ["x", "w1", "b1"], ["a"], "stem/conv", pads=[1, 1, 1, 1], strides=[2, 2], kernel_shape=[3, 3]),
        make("HardSwish", ["a"], ["b"]),
        make("Conv", ["b", "dw"], ["c"], "1.dw", group=8, pads=[1, 1, 1, 1]),
        make("BatchNormalization", ["c", "s", "z", "z", "s"], ["d"]),
        make("Clip", ["d", "zero", "six"], ["e"]),
        make("GlobalAveragePool", ["e"], ["p"]),
        make("Conv", ["p", "se"], ["q"]),
        make("HardSigmoid", ["q"], ["g"], alpha=1 / 6),
        make("Mul", ["e", "g"], ["f"]),
        make("Add", ["f", "b"], ["h"]),
        make("MaxPool", ["h"], ["i"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        make("AveragePool", ["h"], ["j"], kernel_shape=[1, 1]),
        make("Concat", ["i", "j"], ["k"], axis=1),
        make("Tanh", ["k"], ["t"]),
        make("ReduceMean", ["t", "axes"], ["m"], keepdims=1),
        make("Reshape", ["m", "rows"], ["r"]),
        make("MatMul", ["r", "fc"], ["u"]),
        make("Add", ["fcb", "u"], ["v"]),
        make("Relu", ["v"], ["o"]),
        make("Gemm", ["o", "head", "hb"], ["y"], transB=1),
    ]
    constants = {
        "w1": weight(8, 3, 3, 3),
        "b1": weight(8, 1)[:, 0],
        "dw": weight(8, 1, 3, 3),
        "s": rng.uniform(0.5, 2, 8).astype(np.float32),
        "z": weight(8, 1)[:, 0],
        "zero": np.float32(0),
        "six": np.float32(6),
        "se": weight(8, 8, 1, 1),
        "axes": np.array([2, 3]),
        "rows": np.array([1, -1]),
        "fc": weight(16, 12),
        "fcb": weight(12, 1)[:, 0],
        "head": weight(5, 12),
        "hb": weight(1, 5),
    }
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 5])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    return prepare(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))


@pytest.mark.parametrize("model", [mobile(), prepare(own_networks.as_onnx())], ids=["mobile", "own"])
def test_modules_compute_what_the_graph_does(model: onnx.ModelProto) -> None:
    made = to_modules(model)
    x = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(made(x), OnnxNetwork(model)(x))
    assert not any(isinstance(value, onnx.ModelProto) for value in vars(made).values())


def recording() -> onnx.ModelProto:
    """A graph of series as torch exports it: zeros of its own, an average over the time by way of an image."""
    rng = np.random.default_rng(1)
    make = helper.make_node
    nodes = [
        make("Pad", ["x", "pads", "nothing"], ["a"]),
        make("Conv", ["a", "w1", "b1"], ["b"], "first", strides=[2]),
        make("BatchNormalization", ["b", "s", "z", "z", "s"], ["c"]),
        make("Conv", ["c", "dw"], ["d"], "second", group=8, dilations=[2], pads=[4, 0]),
        make("MaxPool", ["d"], ["e"], kernel_shape=[3], pads=[1, 1], strides=[2]),
        make("AveragePool", ["e"], ["f"], kernel_shape=[2]),
        make("Unsqueeze", ["f", "height"], ["g"]),
        make("GlobalAveragePool", ["g"], ["h"]),
        make("Squeeze", ["h", "height"], ["i"]),
        make("Squeeze", ["i", "last"], ["j"]),
        make("ReduceMax", ["f", "last"], ["k"], keepdims=0),
        make("Concat", ["j", "k"], ["l"], axis=1),
        make("Gemm", ["l", "head", "hb"], ["y"], transB=1),
    ]
    constants = {
        "pads": np.array([0, 0, 3, 0, 0, 1]), "nothing": np.float32(0), "height": np.array([2]), "last": np.array([-1]),
        "w1": rng.standard_normal((8, 3, 5)), "b1": rng.standard_normal(8), "dw": rng.standard_normal((8, 1, 3)),
        "s": rng.uniform(0.5, 2, 8), "z": rng.standard_normal(8), "head": rng.standard_normal((5, 16)),
        "hb": rng.standard_normal(5),
    }  # fmt: skip
    stored = {name: np.asarray(a, np.float32) if a.dtype == np.float64 else a for name, a in constants.items()}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 5])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in stored.items()],
    )
    return prepare(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8))


def test_series_are_read_as_torch_exports_them() -> None:
    made, x = to_modules(recording()), torch.randn(2, 3, 32)
    with torch.no_grad():
        torch.testing.assert_close(made(x), OnnxNetwork(recording())(x))
    refused = recording()
    refused.graph.node[7].CopyFrom(helper.make_node("Tanh", ["g"], ["h"]))
    with pytest.raises(NotComputed, match="the Tanh"):
        to_modules(refused)


def test_layers_are_called_after_their_nodes() -> None:
    layers = [
        name for name, module in to_modules(mobile()).named_modules() if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    assert layers == ["stem_conv", "n1_dw", "q", "u", "y"]


def mixed() -> onnx.ModelProto:
    """What no layer is: a norm over the channels, halves of them, a tensor that is added, a shape for one sample."""
    rng = np.random.default_rng(0)
    make = helper.make_node
    nodes = [
        make("Conv", ["x", "w"], ["a"], "stem", pads=[1, 1, 1, 1]),
        make("Transpose", ["a"], ["t"], perm=[0, 2, 3, 1]),
        make("LayerNormalization", ["t", "s", "z"], ["n"], "norm"),
        make("Transpose", ["n"], ["b"], perm=[0, 3, 1, 2]),
        make("Split", ["b"], ["first", "second"], "halves", axis=1, num_outputs=2),
        make("Mul", ["first", "second"], ["c"]),
        make("Add", ["c", "shift"], ["d"], "shifted"),
        make("Clip", ["d", "low", "high"], ["e"]),
        make("Div", ["e", "two"], ["f"]),
        make("Sub", ["two", "f"], ["g"]),
        make("LeakyRelu", ["g"], ["h"], alpha=0.2),
        make("Reshape", ["h", "shape"], ["r"], "rows"),
        make("Softmax", ["r"], ["y"], axis=2),
    ]
    constants = {
        "w": rng.standard_normal((8, 3, 3, 3)).astype(np.float32),
        "s": rng.uniform(0.5, 2, 8).astype(np.float32),
        "z": rng.standard_normal(8).astype(np.float32),
        "shift": rng.standard_normal((1, 4, 1, 1)).astype(np.float32),
        "low": np.float32(-0.5),
        "high": np.float32(0.7),
        "two": np.array([2], np.float32),
        "shape": np.array([1, 4, 64], np.int64),
    }
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 64])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_any_other_operator_is_itself() -> None:
    made, x = to_modules(mixed()), torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = torch.cat([OnnxNetwork(mixed())(one[None]) for one in x])
        torch.testing.assert_close(made(x), wanted)
    nodes = [module.called for module in made.modules() if isinstance(module, GraphNode)]
    assert nodes == [
        "the Transpose t", "the LayerNormalization norm", "the Transpose b", "the Split halves", "the Add shifted",
        "the Reshape rows", "the Softmax y",
    ]  # fmt: skip
    values = {name: node for node in made.graph.nodes for name in node.meta.get("values", [])}
    assert set(values) == {"x", *(name for node in mixed().graph.node for name in node.output)}
    assert values["first"].target is values["second"].target
    shape = next(tensor for tensor in made.meta["onnx"].graph.initializer if tensor.name == "shape")
    assert numpy_helper.to_array(shape).tolist() == [-1, 4, 64]  # for any number of samples


@pytest.mark.parametrize("op", ["Abs", "Elu", "Erf", "Exp", "Gelu", "LeakyRelu", "Mish", "Neg", "Softplus", "Softsign"])
def test_functions_of_single_numbers_are_torchs(op: str) -> None:
    graph = helper.make_graph(
        [helper.make_node(op, ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3, 4, 4])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    made, x = to_modules(model), torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    assert not list(made.children())
    (wanted,) = ReferenceEvaluator(model).run(None, {"x": x.numpy()})
    torch.testing.assert_close(made(x), torch.from_numpy(np.asarray(wanted, np.float32)), rtol=1e-5, atol=1e-6)


def test_what_torch_does_not_compute_is_told() -> None:
    given = own_networks.as_onnx((8, 8), 13)
    given.graph.node[1].CopyFrom(helper.make_node("Hardmax", ["c1"], ["r1"]))
    with pytest.raises(NotComputed, match="the Hardmax r1"):
        to_modules(prepare(given))
    given.graph.node[1].CopyFrom(helper.make_node("FusedGelu", ["c1"], ["r1"], domain="com.microsoft"))
    with pytest.raises(NotComputed, match="the FusedGelu r1"):
        to_modules(given)


def test_rows_that_are_no_samples_are_no_flattening() -> None:
    """And a mean over the last two of three axes is no pool."""
    nodes = [
        helper.make_node("Reshape", ["x", "rows"], ["r"]),
        helper.make_node("Softmax", ["r"], ["s"], axis=1),
        helper.make_node("Reshape", ["s", "tokens"], ["t"]),
        helper.make_node("ReduceMean", ["t", "axes"], ["m"], keepdims=1),
        helper.make_node("Mul", ["t", "m"], ["y"]),
    ]
    constants = {"rows": [-1, 8], "tokens": [-1, 24, 8], "axes": [-2, -1]}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 24, 8])],
        [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    made, x = to_modules(model), torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(made(x), OnnxNetwork(model)(x))
    assert next(module.called for module in made.modules() if isinstance(module, GraphNode)) == "the Reshape r"
