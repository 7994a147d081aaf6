"""Every message is visited, and each graph sees its own constants and those around it."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from exporters.untrusted.walk import constant_tensor, graphs, messages, node_name


def test_graphs_see_the_constants_around_them(foreign: onnx.ModelProto) -> None:
    found = {graph.name: set(constants) for graph, constants in graphs(foreign)}
    assert list(found) == ["main", "else", "then"]
    assert found["else"] == found["main"]
    assert found["then"] == found["main"] | {"inner.w"}


def test_messages_are_visited_once(foreign: onnx.ModelProto) -> None:
    found = list(messages(foreign))
    assert len({id(message) for message in found}) == len(found)
    assert sum(isinstance(message, TensorProto) for message in found) == 11 + 1 + 1
    assert sum(isinstance(message, onnx.NodeProto) for message in found) == 9 + 3 + 2


def test_only_constant_nodes_of_one_tensor_are_constants() -> None:
    tensor = numpy_helper.from_array(np.ones(2, np.float32), "t")
    made = constant_tensor(helper.make_node("Constant", [], ["c"], value=tensor))
    assert made == tensor
    for node in (
        helper.make_node("Constant", [], ["c"], value_int=1),
        helper.make_node("Constant", ["x"], ["c"], value=tensor),
        helper.make_node("Constant", [], ["c", "d"], value=tensor),
        helper.make_node("Constant", [], ["c"], value=tensor, value_int=1),
        helper.make_node("Constant", [], ["c"], value=tensor, domain="acme"),
        helper.make_node("ConstantOfShape", [], ["c"], value=tensor),
    ):
        assert constant_tensor(node) is None


def test_nodes_have_something_to_be_called_by() -> None:
    assert node_name(helper.make_node("Relu", ["x"], ["y"], "n")) == "n"
    assert node_name(helper.make_node("Relu", ["x"], ["y"])) == "y"
    assert node_name(helper.make_node("Relu", ["x"], [""])) == "Relu"
