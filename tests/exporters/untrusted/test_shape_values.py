"""Numbers that a graph computes from shapes are those that ONNX computes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from exporters import MalformedModelError, UnsupportedOpError, load

node = helper.make_node
INTS = {"one": np.array([1]), "two": np.array([2]), "rest": np.array([-1]), "axes": np.array([0])}
CHAINS: dict[str, list[onnx.NodeProto]] = {
    "torch's exporter": [node("Shape", ["x"], ["b"], end=1), node("Concat", ["b", "rest"], ["s"], axis=0)],
    "the one before": [
        node("Shape", ["x"], ["all"]),
        node("Gather", ["all", "n"], ["b"], axis=0),
        node("Unsqueeze", ["b", "axes"], ["v"]),
        node("Concat", ["v", "rest"], ["s"], axis=0),
    ],
    "scalars": [
        node("Shape", ["x"], ["b"], start=-2, end=-1),
        node("Squeeze", ["b"], ["c"]),
        node("Cast", ["c"], ["d"], to=7),
        node("Reshape", ["d", "rest"], ["e"]),
        node("Identity", ["e"], ["f"]),
        node("Concat", ["rest", "f"], ["g"], axis=0),
        node("Gather", ["g", "swap"], ["s"]),
    ],
    "calculated": [  # 1 · 4 / (4 − 2) − 1 = 1 and what is left
        node("Shape", ["x"], ["all"]),
        node("Slice", ["all", "axes", "one"], ["b"]),
        node("Slice", ["all", "one", "two"], ["c"]),
        node("Mul", ["b", "c"], ["bc"]),
        node("Sub", ["c", "two"], ["d"]),
        node("Div", ["bc", "d"], ["e"]),
        node("Add", ["e", "rest"], ["f"]),
        node("Concat", ["f", "rest"], ["s"], axis=0),
    ],
    "constants": [
        node("Constant", [], ["c"], value=onnx.numpy_helper.from_array(np.array([-1, 2]))),
        node("Gather", ["c", "swap"], ["s"]),
    ],
}


@pytest.mark.parametrize("name", CHAINS)
def test_a_computed_shape_is_followed(graph_model: Callable, tmp_path: Path, name: str) -> None:
    made = np.array(0) if name == "the one before" else np.array([0])
    ints: dict[str, Any] = {**INTS, "n": made, "swap": np.array([1, 0])}
    # What reads the new shape fits the right one only: (1, 4) × (4, 3), and (2, 2) × (2, 3).
    width = 2 if name == "constants" else 4
    ints["w"] = np.arange(3 * width, dtype=np.float32).reshape(width, 3)
    nodes = [*CHAINS[name], node("Reshape", ["x", "s"], ["flat"], allowzero=1), node("MatMul", ["flat", "w"], ["y"])]
    model = graph_model(nodes, ints)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 3]))
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    assert load(tmp_path / "model.onnx") == model
    x = np.arange(4, dtype=np.float32).reshape(1, 4)
    (y,) = ReferenceEvaluator(model).run(None, {"x": x})
    np.testing.assert_array_equal(y, x.reshape(-1, width) @ ints["w"])


@pytest.mark.parametrize("op", ["Relu", "Mod", "Div"])
def test_numbers_that_are_worked_out_in_other_ways_are_unknown(
    refuse: Callable, graph_model: Callable, op: str
) -> None:
    nodes = [
        node("Shape", ["x"], ["b"], end=1),
        node(op, ["b", "axes"][: 1 + (op != "Relu")], ["c"]),  # a division by 0 among them
        node("Concat", ["c", "rest"], ["s"], axis=0),
        node("Reshape", ["x", "s"], ["y"]),
    ]
    assert "no constant" in refuse(graph_model(nodes, INTS), MalformedModelError)


def test_numbers_beyond_all_sizes_are_unknown(refuse: Callable, graph_model: Callable) -> None:
    nodes = [node("Mul", ["big" if not index else f"v{index}", "big"], [f"v{index + 1}"]) for index in range(60)]
    model = graph_model([*nodes, node("Reshape", ["x", "v60"], ["y"])], {"big": np.array([2**30])})
    assert "no constant" in refuse(model, MalformedModelError)


def test_long_vectors_are_not_followed(refuse: Callable, graph_model: Callable) -> None:
    nodes = [node("Shape", ["x"], ["s0"])]
    nodes += [node("Concat", [f"s{index}"] * 2, [f"s{index + 1}"], axis=0) for index in range(8)]
    refuse(graph_model([*nodes, node("Reshape", ["x", "s8"], ["y"])], INTS), MalformedModelError)


def test_constants_are_weights_as_well(graph_model: Callable, refuse: Callable, tmp_path: Path) -> None:
    weight = onnx.numpy_helper.from_array(np.ones((1, 4), np.float32))
    model = graph_model([node("Constant", [], ["c"], value=weight), node("Add", ["x", "c"], ["y"])], {})
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4]))
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    assert load(tmp_path / "model.onnx") == model
    model.graph.node[0].CopyFrom(node("Constant", [], ["c"], value_strings=[b"a"]))
    assert "is a Constant" in refuse(model, UnsupportedOpError)


@pytest.mark.parametrize(
    "given", [{"value_int": -1}, {"value_ints": [-1]}, {"value": onnx.numpy_helper.from_array(np.array([-1]))}]
)
def test_constants_in_all_forms_are_known(graph_model: Callable, tmp_path: Path, given: dict[str, Any]) -> None:
    nodes = [
        node("Constant", [], ["c"], **given),
        node("Reshape", ["c", "rest"], ["s"]),
        node("Reshape", ["x", "s"], ["y"]),
    ]
    model = graph_model(nodes, INTS)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, ["all"]))
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    assert load(tmp_path / "model.onnx") == model
