"""One form for the graphs of all exporters."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from exporters.errors import ExportError
from exporters.prepare import prepare

Array = np.ndarray[Any, Any]


def old_model() -> onnx.ModelProto:
    """As caffe2 wrote it at opset 7: weights from shapes and Constant nodes, Dropout, batch norm, nothing named."""
    rng = np.random.default_rng(0)
    constants = {
        "w": rng.standard_normal((4, 3, 3, 3)).astype(np.float32),
        "s": rng.uniform(0.5, 2, 4).astype(np.float32),
        "v": rng.uniform(0.5, 2, 4).astype(np.float32),
        "m": rng.standard_normal(4).astype(np.float32),
        "t": rng.standard_normal((4, 5)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
        helper.make_node("BatchNormalization", ["c", "s", "m", "m", "v"], ["b"], epsilon=1e-3),
        helper.make_node("Clip", ["b"], ["k"], min=0.0, max=6.0),
        helper.make_node("Dropout", ["k"], ["d", "mask"], ratio=0.5),
        helper.make_node("GlobalAveragePool", ["d"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("Identity", ["f"], ["i"]),
        helper.make_node("Constant", [], ["fc"], value=numpy_helper.from_array(constants.pop("t"))),
        helper.make_node("Transpose", ["fc"], ["turned"], perm=[1, 0]),
        helper.make_node("Gemm", ["i", "turned", "zero"], ["y"], transB=1, alpha=1.0),
    ]
    constants["zero"] = np.zeros((1, 5), np.float32)
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, a.shape) for n, a in constants.items()]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", "w_"]), *values],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 5])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 8)], ir_version=3)


def ran(model: onnx.ModelProto, x: Array) -> Array:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return np.asarray(session.run(None, {session.get_inputs()[0].name: x})[0])


def test_it_computes_the_same_in_todays_form() -> None:
    given = old_model()
    before = given.SerializeToString()
    x = np.random.default_rng(1).standard_normal((2, 3, 6, 9)).astype(np.float32)
    for fold in (False, True):
        made = prepare(given, fold_batch_norm=fold)
        np.testing.assert_allclose(ran(made, x), ran(given, x), atol=1e-5)
        ops = [node.op_type for node in made.graph.node]
        assert ops == ["Conv", *(["BatchNormalization"] * (not fold)), "Clip", "GlobalAveragePool", "Flatten", "Gemm"]
        assert all(node.name for node in made.graph.node)
        assert [value.name for value in made.graph.input] == ["x"]
        sizes = [dim.dim_param or dim.dim_value for dim in made.graph.input[0].type.tensor_type.shape.dim]
        assert sizes == ["n", 3, "h", "w_"]
        assert {tensor.name: list(tensor.dims) for tensor in made.graph.initializer}["turned"] == [5, 4]
    assert given.SerializeToString() == before


def _node(*arguments: Any, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(*arguments, **attributes)


@pytest.mark.parametrize(
    "nodes",
    [
        [_node("Conv", ["x"], ["y"])],
        [_node("Relu", ["nothing"], ["y"])],
        [_node("Add", ["y2", "x"], ["y"]), _node("Relu", ["y"], ["y2"])],
        [_node("Relu", ["x"], ["y"]), _node("Neg", ["x"], ["y"])],
        [_node("Reshape", ["x", "s"], ["y"], allowzero="a")],
        [_node("ConstantOfShape", ["huge"], ["h"]), _node("Add", ["h", "x"], ["y"])],
        [_node("Tile", ["s", "many"], ["t"]), _node("Reshape", ["x", "t"], ["y"])],
        [_node("NoSuchOperator", ["x"], ["y"])],
    ],
)
def test_a_malformed_graph_is_a_sentence_or_stays_as_it_is(nodes: list[onnx.NodeProto]) -> None:
    constants = {
        "s": np.array([1, -1]),
        "huge": np.array([2**20, 2**20]),
        "many": np.array([2**40]),
    }
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 6, 9])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    try:
        made = prepare(model, fold_batch_norm=True)
    except ExportError as error:
        assert str(error).endswith(".")
    else:
        assert made.ByteSize() < 10_000
