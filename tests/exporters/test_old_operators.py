"""Operators of older operator sets, converted without a change of meaning."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from exporters.interpreter import OnnxNetwork
from exporters.prepare import prepare

Array = np.ndarray[Any, Any]
SCALES = np.array([1, 1, 2, 3], np.float32)


def _model(op: str, opset: int, constants: dict[str, Array], **attributes: Any) -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node(op, ["x", *constants], ["y"], **attributes)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 4, 5, 6])],
        [onnx.ValueInfoProto(name="y")],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=4)


@pytest.mark.parametrize(
    ("op", "opset", "constants", "attributes"),
    [
        ("Upsample", 7, {}, {"scales": [1.0, 1.0, 2.0, 3.0], "mode": "nearest"}),
        ("Upsample", 8, {}, {"scales": [1.0, 1.0, 2.0, 3.0], "mode": "linear"}),
        ("Upsample", 9, {"s": SCALES}, {"mode": "linear"}),
        ("Resize", 10, {"s": SCALES}, {"mode": "linear"}),
        ("Resize", 10, {"s": SCALES}, {"mode": "nearest"}),
        ("Resize", 11, {"roi": np.zeros(0, np.float32), "s": SCALES}, {"mode": "linear"}),
        ("Hardmax", 7, {}, {"axis": 2}),
        ("Softmax", 7, {}, {"axis": 1}),
        ("LogSoftmax", 11, {}, {"axis": 2}),
        ("Pad", 7, {}, {"pads": [0, 0, 1, 2, 0, 0, 0, 1], "value": 0.5}),
        ("Slice", 7, {}, {"axes": [2, 3], "starts": [1, -3], "ends": [4, 100]}),
        ("Clip", 7, {}, {"min": -0.2, "max": 0.3}),
        ("ReduceMean", 7, {}, {"axes": [2, 3], "keepdims": 0}),
    ],
)
def test_it_means_the_same(op: str, opset: int, constants: dict[str, Array], attributes: dict[str, Any]) -> None:
    given = _model(op, opset, constants, **attributes)
    x = np.random.default_rng(0).standard_normal((2, 4, 5, 6)).astype(np.float32)
    (expected,) = onnxruntime.InferenceSession(given.SerializeToString()).run(None, {"x": x})
    made = prepare(given)
    assert made.opset_import[0].version >= 18
    (converted,) = onnxruntime.InferenceSession(made.SerializeToString()).run(None, {"x": x})
    np.testing.assert_allclose(converted, expected, atol=1e-5)
    torch_made = OnnxNetwork(made)(torch.from_numpy(x))
    assert isinstance(torch_made, torch.Tensor)
    np.testing.assert_allclose(torch_made.numpy(), expected, atol=1e-5)
