"""The size of every value is known before anything is computed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from exporters import (
    MalformedModelError,
    TooLargeError,
    UnsupportedOpError,
    load,
    save,
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


SIZED: dict[str, tuple[list[str], dict[str, Any]]] = {
    "ConstantOfShape": (["s"], {"s": np.array([2**31, 4])}),
    "Expand": (["x", "s"], {"s": np.array([2**31, 1])}),
    "Tile": (["x", "s"], {"s": np.array([2**31, 1])}),
    "Pad": (["x", "s"], {"s": np.array([2**30, 0, 2**30, 0])}),
    "Range": (["b", "e", "d"], {"b": np.array(0), "e": np.array(2**40), "d": np.array(1)}),
    "Resize": (["x", "", "", "s"], {"s": np.array([2**31, 4])}),
    "Upsample": (["x", "s"], {"s": np.array([2.0**14, 2.0**14], np.float32)}),
}


@pytest.mark.parametrize("op", SIZED)
def test_operators_whose_output_may_have_any_size_are_bounded(refuse: Callable, graph_model: Callable, op: str) -> None:
    inputs, arrays = SIZED[op]
    nodes = [helper.make_node(op, inputs, ["y"])]
    model = graph_model(nodes, arrays)
    if op == "Upsample":
        model.opset_import[0].version = 9
        model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 2**10
    assert "bytes of memory" in refuse(model, TooLargeError)


@pytest.mark.parametrize("op", ["ConstantOfShape", "Expand", "Tile", "Pad", "Range", "Resize"])
def test_sizes_that_are_not_known_before_a_run_are_refused(refuse: Callable, graph_model: Callable, op: str) -> None:
    inputs, arrays = SIZED[op]
    model = graph_model([helper.make_node(op, inputs, ["y"])], {})
    for name, array in arrays.items():
        model.graph.input.append(helper.make_tensor_value_info(name, TensorProto.INT64, array.shape))
    assert "no constants" in refuse(model, MalformedModelError)


@pytest.mark.parametrize("op", ["If", "Loop", "Scan", "SequenceAt", "StringSplit"])
def test_operators_without_a_rule_are_refused(refuse: Callable, graph_model: Callable, op: str) -> None:
    model = graph_model([helper.make_node(op, ["x"], ["y"])], {})
    assert f"is a {op}, an operator that is not read here" in refuse(model, UnsupportedOpError)


def test_weights_may_be_listed_among_the_inputs_as_they_are(
    tiny: onnx.ModelProto, refuse: Callable, tmp_path: Path
) -> None:
    for tensor in tiny.graph.initializer:
        tiny.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    save(tiny, tmp_path / "listed.onnx")
    assert load(tmp_path / "listed.onnx") == tiny
    tiny.graph.input[1].type.tensor_type.elem_type = TensorProto.DOUBLE
    assert "a weight of another shape" in refuse(tiny, MalformedModelError)
    del tiny.graph.input[1:]
    tiny.graph.input.append(tiny.graph.input[0])
    assert "an input twice" in refuse(tiny, MalformedModelError)


def test_outputs_beyond_those_of_an_operator_are_refused(refuse: Callable, graph_model: Callable) -> None:
    assert "2 outputs" in refuse(graph_model([helper.make_node("Relu", ["x"], ["y", "z"])], {}), UnsupportedOpError)


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
