"""ONNX graphs as torch modules: values, names of weights, batches, writing back."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.overrides import TorchFunctionMode

from exporters.errors import UnsupportedModelError
from exporters.interpreter import OnnxNetwork

Array = np.ndarray[Any, Any]


def model(
    nodes: list[onnx.NodeProto],
    constants: dict[str, Array],
    shape: list[int | str],
    outputs: tuple[str, ...] = ("y",),
    opset: int = 18,
    more: tuple[onnx.ValueInfoProto, ...] = (),
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape), *more],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    made = onnx.shape_inference.infer_shapes(helper.make_model(graph, opset_imports=imports, ir_version=10))
    for value in made.graph.output:
        if not value.type.HasField("tensor_type"):
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    return made


@pytest.fixture
def network_of_habits() -> onnx.ModelProto:
    """Conv without a bias, batch norm, MatMul + Add, Gemm of both orientations, a weight used twice, odd names."""
    rng = np.random.default_rng(0)

    def weight(*shape: int) -> Array:
        return rng.standard_normal(shape).astype(np.float32)

    constants = {
        "onnx::Conv_1": weight(8, 3, 3, 3),
        "bn.scale": rng.uniform(0.5, 2, 8).astype(np.float32),
        "bn.bias": weight(8),
        "bn.mean": weight(8),
        "bn.var": rng.uniform(0.5, 2, 8).astype(np.float32),
        "fc.weight": weight(8, 8),
        "fc.bias": weight(8),
        "head.weight": weight(6, 8),
        "head.bias": weight(6),
        "head": weight(6, 6),
        "axes": np.array([2, 3], np.int64),
        "mask": np.array([0, -np.inf, 0, 0, 0, 0], np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "onnx::Conv_1"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c", "bn.scale", "bn.bias", "bn.mean", "bn.var"], ["n"]),
        helper.make_node("Relu", ["n"], ["r"]),
        helper.make_node("ReduceMean", ["r", "axes"], ["p"], keepdims=0),
        helper.make_node("MatMul", ["p", "fc.weight"], ["m"]),
        helper.make_node("Add", ["fc.bias", "m"], ["a"]),
        helper.make_node("MatMul", ["a", "fc.weight"], ["twice"]),
        helper.make_node("Gemm", ["twice", "head.weight", "head.bias"], ["h"], transB=1),
        helper.make_node("Gemm", ["h", "head"], ["g"], alpha=0.5),
        helper.make_node("Add", ["g", "mask"], ["masked"]),
        helper.make_node("Softmax", ["masked"], ["y"]),
    ]
    return model(nodes, constants, ["n", 3, 8, 8])


def ran(given: onnx.ModelProto, *inputs: Array) -> list[Array]:
    session = onnxruntime.InferenceSession(given.SerializeToString())
    return list(session.run(None, dict(zip((i.name for i in session.get_inputs()), inputs, strict=True))))


def test_it_computes_what_the_graph_does_and_knows_its_layers(network_of_habits: onnx.ModelProto) -> None:
    network = OnnxNetwork(network_of_habits)
    x = np.random.default_rng(1).standard_normal((3, 3, 8, 8)).astype(np.float32)
    (expected,) = ran(network_of_habits, x)
    np.testing.assert_allclose(network(torch.from_numpy(x)).detach().numpy(), expected, atol=1e-5)
    assert network.layer_weights == ("onnx::Conv_1", "fc.weight", "head.weight", "head_")
    assert {"fc.bias", "head.bias"} <= dict(network.named_parameters()).keys()
    assert all(bool(tensor.isfinite().all()) for tensor in network.state_dict().values())
    assert network.get_parameter("head.weight").shape == (6, 8)
    assert not network.runtime_nodes
    assert network.inputs[0].shape == ("n", 3, 8, 8)


def test_weights_are_the_very_arguments_of_torch(network_of_habits: onnx.ModelProto) -> None:
    network = copy.deepcopy(OnnxNetwork(network_of_habits))
    seen: list[str] = []
    names = {id(parameter): name for name, parameter in network.named_parameters()}

    class Calls(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func in (torch.conv2d, torch.nn.functional.linear):
                seen.append(names[id(args[1])])
            return func(*args, **(kwargs or {}))

    with Calls():
        network(torch.zeros(1, 3, 8, 8))
    assert seen == ["onnx::Conv_1", "fc.weight", "fc.weight", "head.weight", "head_"]


def test_changed_weights_are_written_back(network_of_habits: onnx.ModelProto) -> None:
    network = OnnxNetwork(network_of_habits)
    assert network.to_onnx() == network_of_habits
    with torch.no_grad():
        for name in network.layer_weights:
            network.get_parameter(name)[:, ::2] = 0
        for module in network.modules():
            if hasattr(module, "running_mean"):
                module.running_mean += 0.5  # type: ignore[operator]
    written = network.to_onnx()
    x = np.random.default_rng(1).standard_normal((2, 3, 8, 8)).astype(np.float32)
    np.testing.assert_allclose(network(torch.from_numpy(x)).detach().numpy(), ran(written, x)[0], atol=1e-5)
    onnx.checker.check_model(written, full_check=True)
    assert [node.output for node in written.graph.node] == [node.output for node in network_of_habits.graph.node]
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in written.graph.initializer}
    assert not arrays["fc.weight"][::2].any()
    assert arrays["fc.weight"][1::2].all()


def test_gradients_reach_every_parameter(network_of_habits: onnx.ModelProto) -> None:
    network, rng = OnnxNetwork(network_of_habits), torch.Generator().manual_seed(0)
    network(torch.randn(2, 3, 8, 8, generator=rng))[:, [0, 2]].square().sum().backward()
    for name in network.layer_weights:
        gradient = network.get_parameter(name).grad
        assert gradient is not None
        assert bool(gradient.any())


@pytest.mark.parametrize(
    ("shape", "literal"),
    [([1, -1], 0), ([1, 12], 0), ([4, 3], 0), ([2, 6], 0), ([0, 12], 0), ([1, 12], 1), ([2, 6], 1), ([1, -1], 1)],
)
def test_a_batch_through_a_graph_of_one_sample(shape: list[int], literal: int) -> None:
    weight = np.random.default_rng(0).standard_normal((12 // (shape[0] or 1), 4)).astype(np.float32)
    if shape in ([1, -1], [1, 12], [0, 12]):
        weight = np.random.default_rng(0).standard_normal((12, 4)).astype(np.float32)
    else:
        weight = np.random.default_rng(0).standard_normal((shape[1], 4)).astype(np.float32)
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Reshape", ["r", "shape"], ["f"], allowzero=literal),
        helper.make_node("MatMul", ["f", "w"], ["m"]),
        helper.make_node("Reshape", ["m", "back"], ["y"]),
    ]
    constants = {"shape": np.array(shape, np.int64), "w": weight, "back": np.array([1, -1], np.int64)}
    given = model(nodes, constants, [1, 3, 2, 2])
    network = OnnxNetwork(given)
    x = np.random.default_rng(1).standard_normal((5, 3, 2, 2)).astype(np.float32)
    network.settle(torch.from_numpy(x))
    got = network(torch.from_numpy(x)).detach().numpy()
    alone = np.concatenate([ran(given, x[i : i + 1])[0] for i in range(5)])
    np.testing.assert_allclose(got, alone, atol=1e-5)


def test_samples_run_alone_where_a_graph_mixes_them() -> None:
    nodes = [helper.make_node("ReduceMax", ["x"], ["top"]), helper.make_node("Div", ["x", "top"], ["y"])]
    given = model(nodes, {}, [1, 6])
    network = OnnxNetwork(given)
    x = np.random.default_rng(1).uniform(1, 2, (4, 6)).astype(np.float32)
    network.settle(torch.from_numpy(x))
    assert network.one_at_a_time
    alone = np.concatenate([ran(given, x[i : i + 1])[0] for i in range(4)])
    np.testing.assert_allclose(network(torch.from_numpy(x)).numpy(), alone, atol=1e-6)


def test_what_torch_does_not_compute_onnx_runtime_does() -> None:
    """A branch that reads values from outside, and an operator of another domain."""
    then = helper.make_graph([helper.make_node("Mul", ["c", "two"], ["t"])], "t", [], [onnx.ValueInfoProto(name="t")])
    other = helper.make_graph([helper.make_node("Neg", ["c"], ["e"])], "e", [], [onnx.ValueInfoProto(name="e")])
    for branch in (then, other):
        branch.output[0].type.tensor_type.elem_type = TensorProto.FLOAT
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("ReduceSum", ["c"], ["s"], keepdims=0),
        helper.make_node("Greater", ["s", "zero"], ["positive"]),
        helper.make_node("If", ["positive"], ["i"], name="choice", then_branch=then, else_branch=other),
        helper.make_node("FusedMatMul", ["i", "i"], ["y"], domain="com.microsoft", transB=1),
    ]
    constants = {
        "w": np.random.default_rng(0).standard_normal((4, 3, 1, 1)).astype(np.float32),
        "two": np.float32(2),
        "zero": np.float32(0),
    }
    given = model(nodes, {name: np.asarray(value) for name, value in constants.items()}, ["n", 3, 4, 4])
    network = copy.deepcopy(OnnxNetwork(given))
    assert network.runtime_nodes == ("choice (If)", "FusedMatMul (FusedMatMul)")
    for sign in (1, -1):
        x = sign * np.abs(np.random.default_rng(2).standard_normal((2, 3, 4, 4))).astype(np.float32)
        np.testing.assert_allclose(network(torch.from_numpy(x)).detach().numpy(), ran(given, x)[0], atol=1e-4)
    assert network.layer_weights == ("w",)


def test_several_inputs_by_name_and_several_outputs() -> None:
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["n", 5])
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["e"]),
        helper.make_node("ReduceMean", ["e", "one"], ["m"], keepdims=0),
        helper.make_node("Add", ["x", "m"], ["y"]),
        helper.make_node("MatMul", ["y", "w"], ["z"]),
    ]
    rng = np.random.default_rng(0)
    constants = {
        "table": rng.standard_normal((9, 4)).astype(np.float32),
        "w": rng.standard_normal((4, 2)).astype(np.float32),
        "one": np.array([1], np.int64),
    }
    given = model(nodes, constants, ["n", 4], ("y", "z"), more=(ids,))
    x, tokens = rng.standard_normal((3, 4)).astype(np.float32), rng.integers(0, 9, (3, 5))
    network = OnnxNetwork(given)
    by_name = network(ids=torch.from_numpy(tokens), x=torch.from_numpy(x))
    by_place = network(torch.from_numpy(x), torch.from_numpy(tokens))
    for mine, same, theirs in zip(by_name, by_place, ran(given, x, tokens), strict=True):
        assert torch.equal(mine, same)
        np.testing.assert_allclose(mine.detach().numpy(), theirs, atol=1e-5)
    assert network.layer_weights == ("w",)


def test_a_weight_that_is_also_read_otherwise_is_none() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node("Transpose", ["w"], ["t"]),
        helper.make_node("MatMul", ["m", "t"], ["y"]),
    ]
    given = model(nodes, {"w": np.random.default_rng(0).standard_normal((4, 4)).astype(np.float32)}, ["n", 4])
    network = OnnxNetwork(given)
    assert not network.layer_weights
    x = np.random.default_rng(1).standard_normal((2, 4)).astype(np.float32)
    np.testing.assert_allclose(network(torch.from_numpy(x)).numpy(), ran(given, x)[0], atol=1e-5)


def test_types_that_torch_does_not_have_are_told() -> None:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.STRING, [1])],
        [helper.make_tensor_value_info("y", TensorProto.STRING, [1])],
    )
    with pytest.raises(UnsupportedModelError, match="input x is of type string"):
        OnnxNetwork(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10))
