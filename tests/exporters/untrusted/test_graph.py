"""The size of every value is known before anything is computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from exporters import (
    MalformedModelError,
    TooLargeError,
    UnsupportedOpError,
)

ROW, COLUMN = np.ones((1, 2**16), np.float32), np.ones((2**16, 1), np.float32)
BOMBS: dict[str, tuple[list[onnx.NodeProto], dict[str, Any]]] = {
    "outer product": ([helper.make_node("MatMul", ["a", "b"], ["y"])], {"a": COLUMN, "b": ROW}),
    "linear layer": ([helper.make_node("Gemm", ["a", "b"], ["y"])], {"a": COLUMN, "b": ROW}),
    "broadcast": ([helper.make_node("Add", ["a", "b"], ["y"])], {"a": COLUMN, "b": ROW}),
    "padding": (
        [helper.make_node("Conv", ["a", "w"], ["y"], pads=[2**15] * 4)],
        {"a": np.ones((1, 1, 1, 1), np.float32), "w": np.ones((1, 1, 1, 1), np.float32)},
    ),
    "doubling": (
        [helper.make_node("Concat", [f"v{i}", f"v{i}"], [f"v{i + 1}" if i < 39 else "y"], axis=0) for i in range(40)],
        {"v0": np.ones(4, np.float32)},
    ),
    "many": (
        [helper.make_node("Mul", ["a", "b"], [f"v{i}" if i < 99 else "y"]) for i in range(100)],
        {"a": np.ones((2**12, 1), np.float32), "b": np.ones((1, 2**12), np.float32)},
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused(refuse: Callable, graph_model: Callable, name: str) -> None:
    nodes, initializers = BOMBS[name]
    assert "bytes of memory" in refuse(graph_model(nodes, initializers), TooLargeError)


@pytest.mark.parametrize("op", ["ConstantOfShape", "Expand", "Tile", "Pad", "Range", "NonZero", "Resize", "Loop"])
def test_operators_whose_output_may_have_any_size_are_refused(refuse: Callable, graph_model: Callable, op: str) -> None:
    model = graph_model([helper.make_node(op, ["x", "s"], ["y"])], {"s": np.array([2**31])})
    assert f"is a {op}, an operator that is not read here" in refuse(model, UnsupportedOpError)


def test_branches_are_refused(refuse: Callable, graph_model: Callable) -> None:
    branch = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["b"])], "b", [], [helper.make_tensor_value_info("b", 1, None)]
    )
    node = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    assert "is a If" in refuse(graph_model([node], {"c": np.array(True)}), UnsupportedOpError)


@pytest.mark.parametrize("change", ["order", "twice", "output", "initializer", "input"])
def test_graphs_that_contradict_themselves_are_refused(refuse: Callable, sparse: onnx.ModelProto, change: str) -> None:
    graph = sparse.graph
    if change == "order":
        first = onnx.NodeProto.FromString(graph.node[0].SerializeToString())
        del graph.node[0]
        graph.node.append(first)
    elif change == "twice":
        graph.node.append(graph.node[0])
    elif change == "output":
        graph.output[0].name = "nobody"
    elif change == "initializer":
        graph.initializer.append(graph.initializer[0])
    else:
        graph.input.append(helper.make_tensor_value_info(graph.initializer[0].name, 1, [1]))
    refuse(sparse, MalformedModelError)


@pytest.mark.parametrize("dims", [["batch", 1, "h", 8], ["batch", 1, None, 8]])
def test_images_of_any_size_are_refused(refuse: Callable, sparse: onnx.ModelProto, dims: list[Any]) -> None:
    sparse.graph.input[0].CopyFrom(helper.make_tensor_value_info("input", TensorProto.FLOAT, dims))
    assert "only the batch may vary" in refuse(sparse, UnsupportedOpError)
