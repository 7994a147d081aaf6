"""Models of other exporters: old operator sets, no names, no shapes, weights among the inputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from exporters import Decision, UnsupportedModelError, load, save, to_sparse
from exporters.from_onnx import opset_of
from exporters.layers import SparsifyCandidate
from exporters.ops import OPSET

RNG = np.random.default_rng(5)
NEWEST_OF_ORT = 24
"""Operator sets from 25 on are not opened by the oldest ONNX Runtime that this package takes."""


def sparse_weight(*shape: int) -> np.ndarray:
    return (RNG.normal(size=shape) * (RNG.random(shape) < 0.25)).astype(np.float32)


ARRAYS = {
    "stem.w": sparse_weight(8, 3, 3, 3),
    "one.w": sparse_weight(16, 8, 1, 1),
    "two.w": np.repeat(sparse_weight(8, 16, 1, 1), 2, axis=0),  # in blocks of two output channels
    "three.w": np.eye(4, dtype=np.float32)[RNG.integers(4, size=64)].reshape(16, 16, 1, 1),  # one of four
    "fc.w": sparse_weight(10, 16),
    "b8": np.ones(8, np.float32),
    "b16": np.ones(16, np.float32),
    "b10": np.ones(10, np.float32),
}


def network(opset: int, ir_version: int, *, named: bool = True, listed: bool = False) -> onnx.ModelProto:
    """Stem, three pointwise convolutions, pooling, a linear layer; ReLU6 as that operator set has it; no shapes."""
    name = "{}".format if named else lambda _: ""
    arrays = dict(ARRAYS)
    if opset < 11:
        clip = helper.make_node("Clip", ["a"], ["r"], name=name("relu6"), min=0.0, max=6.0)
    else:
        clip = helper.make_node("Clip", ["a", "low", "high"], ["r"], name=name("relu6"))
        arrays |= {"low": np.array(0, np.float32), "high": np.array(6, np.float32)}
    nodes = [
        helper.make_node("Conv", ["x", "stem.w", "b8"], ["s"], name=name("stem"), pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["s", "one.w", "b16"], ["a"], name=name("one")),
        clip,
        helper.make_node("Conv", ["r", "two.w", "b16"], ["c"], name=name("two")),
        helper.make_node("Conv", ["c", "three.w", "b16"], ["d"], name=name("three")),
        helper.make_node("Add", ["d", "r"], ["e"], name=name("add")),
        helper.make_node("GlobalAveragePool", ["e"], ["p"], name=name("pool")),
        helper.make_node("Flatten", ["p"], ["f"], name=name("flat")),
        helper.make_node("Gemm", ["f", "fc.w", "b10"], ["y"], name=name("fc"), transB=1),
    ]
    tensors = [numpy_helper.from_array(array, key) for key, array in arrays.items()]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 6, 6])]
    if listed:
        inputs += [helper.make_tensor_value_info(one.name, TensorProto.FLOAT, one.dims) for one in tensors]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 10])]
    graph = helper.make_graph(nodes, "g", inputs, outputs, tensors)
    model = helper.make_model(graph, ir_version=ir_version, opset_imports=[helper.make_opsetid("", opset)])
    onnx.checker.check_model(model)
    return model


def always(layer: SparsifyCandidate) -> Decision:
    return Decision(True, "test")


@pytest.mark.parametrize("opset", range(7, NEWEST_OF_ORT + 1))
def test_a_sparse_file_of_any_operator_set_opens_in_stock_runtimes_and_computes_the_same(
    opset: int, run_stock: Callable, tmp_path: Path
) -> None:
    old = opset < 9
    dense = network(opset, 3 if old else 8, listed=old)
    exported = to_sparse(dense, always)
    assert [row.format for row in exported.layers] == ["dense", "csr", "csr 2x1", "1:4", "csr"]
    assert opset_of(exported.model) == max(opset, OPSET)
    assert [value.name for value in exported.model.graph.input] == ["x"]
    onnx.checker.check_model(exported.model, full_check=True)
    save(exported.model, tmp_path / "model.onnx")
    assert load(tmp_path / "model.onnx") == exported.model
    x = 4 * RNG.normal(size=(2, 3, 6, 6)).astype(np.float32)
    want, got = (run_stock(model, {"x": x})[0] for model in (dense, exported.model))
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-4)


def test_a_clip_of_the_oldest_operator_sets_is_fused_with_its_bounds() -> None:
    (node,) = (node for node in to_sparse(network(9, 4), always).model.graph.node if node.name == "one")
    assert {one.name: one.f for one in node.attribute if one.name.startswith("clip")} == {"clip_min": 0, "clip_max": 6}


def test_nothing_changes_where_no_layer_becomes_sparse() -> None:
    dense = network(9, 4, listed=True)
    assert to_sparse(dense, lambda layer: Decision(False, "test")).model == dense


def test_nodes_without_names_are_called_after_what_they_make(run_stock: Callable) -> None:
    dense = network(17, 8, named=False)
    exported = to_sparse(dense, lambda layer: Decision(layer.name == "c", "test"))
    assert [(row.name, row.format) for row in exported.layers] == [
        ("s", "dense"),
        ("a", "dense"),
        ("c", "csr 2x1"),
        ("d", "dense"),
        ("y", "dense"),
    ]
    x = RNG.normal(size=(2, 3, 6, 6)).astype(np.float32)
    want, got = (run_stock(model, {"x": x})[0] for model in (dense, exported.model))
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-4)


def test_nodes_of_one_name_are_told_apart() -> None:
    dense = network(17, 8)
    for node in dense.graph.node:
        node.name = "node"
    names = [row.name for row in to_sparse(dense, always).layers]
    assert len(set(names)) == len(names) == 5


def test_shapes_that_follow_from_the_input_need_not_be_in_the_file() -> None:
    dense = network(18, 8)
    assert not dense.graph.value_info
    assert {row.macs for row in to_sparse(dense, always).layers} >= {36 * np.count_nonzero(ARRAYS["one.w"])}


def test_a_file_that_is_sparse_already_keeps_one_body_an_op() -> None:
    once = to_sparse(network(18, 8), lambda layer: Decision(layer.name == "one", "test")).model
    assert to_sparse(once, lambda layer: Decision(layer.name == "three", "test")).model.functions
    twice = to_sparse(once, always).model
    names = [(one.name, one.overload) for one in twice.functions]
    assert len(set(names)) == len(names)
    onnx.checker.check_model(twice, full_check=True)


def test_an_operator_set_that_cannot_be_converted_is_refused_with_a_sentence() -> None:
    dense = network(9, 4)
    dense.graph.node.append(helper.make_node("Nonsense", ["y"], ["z"]))
    with pytest.raises(UnsupportedModelError, match=r"version 9 .* to version 18.*opset 18 or newer"):
        to_sparse(dense, always)
