"""Nodes of a graph as modules, and parts of a graph under other names."""

from __future__ import annotations

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from exporters.interpreter.graph_node import GraphNode, part_of


def model() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Softmax", ["x"], ["a"], axis=1),
        helper.make_node("Split", ["a", "sizes"], ["left", "right"], axis=1),
        helper.make_node("Mul", ["right", "scale"], ["b"]),
        helper.make_node("Concat", ["b", "left", "b"], ["c"], axis=1),
        helper.make_node("Resize", ["c", "", "", "whole"], ["y"]),
        helper.make_node("Relu", ["x"], ["other"]),
    ]
    constants = {
        "sizes": np.array([1, 2], np.int64),
        "scale": np.array([[2.0, 3.0]], np.float32),
        "whole": np.array([2, 10], np.int64),
    }
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 10])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=10)


def computed(given: onnx.ModelProto, output: str, **feeds: np.ndarray) -> np.ndarray:
    seen = onnx.ModelProto.FromString(given.SerializeToString())
    del seen.graph.output[:]
    seen.graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, None))
    return np.asarray(ReferenceEvaluator(seen).run(None, feeds)[0])


def test_a_node_computes_what_it_computes_in_the_graph() -> None:
    given, x = model(), np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in given.graph.initializer}
    concat = GraphNode(given.graph.node[3], arrays, given)
    assert (concat.called, concat.moves, concat.values) == ("the Concat c", True, ("b", "left"))
    values = [torch.from_numpy(computed(given, name, x=x)) for name in concat.values]
    np.testing.assert_allclose(concat(*values), computed(given, "c", x=x))
    split = GraphNode(given.graph.node[1], arrays, given)
    left, right = split(torch.from_numpy(computed(given, "a", x=x)))
    assert (left.shape, right.shape) == ((2, 1), (2, 2))
    assert not GraphNode(given.graph.node[0], arrays, given).moves


def test_a_part_of_a_graph_has_the_nodes_and_constants_that_it_needs() -> None:
    given, x = model(), np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)
    nodes, constants = part_of(given, {"a": "source"}, "y", "made", "part/")
    assert [node.op_type for node in nodes] == ["Split", "Mul", "Concat", "Resize"]
    assert sorted(tensor.name for tensor in constants) == ["part/scale", "part/sizes", "part/whole"]
    assert list(nodes[-1].input) == ["part/c", "", "", "part/whole"]
    graph = helper.make_graph(
        nodes,
        "part",
        [helper.make_tensor_value_info("source", TensorProto.FLOAT, [2, 3])],
        [helper.make_tensor_value_info("made", TensorProto.FLOAT, [2, 10])],
        constants,
    )
    part = helper.make_model(graph, opset_imports=given.opset_import, ir_version=10)
    onnx.checker.check_model(part)
    source = computed(given, "a", x=x)
    np.testing.assert_array_equal(computed(part, "made", source=source), computed(given, "y", x=x))


def test_a_part_may_give_a_value_that_it_is_not_made_of() -> None:
    (node,), constants = part_of(model(), {"x": "source", "y": "elsewhere"}, "a", "made", "part/")
    assert (list(node.input), list(node.output), constants) == (["source"], ["made"], [])
