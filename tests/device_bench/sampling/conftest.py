from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from device_bench import ModelUnderTest


@pytest.fixture
def models(tmp_path: Path) -> dict[str, ModelUnderTest]:
    """One model that stock ONNX Runtime runs."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 5000]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", values[:1], values[1:])
    path = tmp_path / "relu.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return {"dense": ModelUnderTest(path, sparse=False)}
