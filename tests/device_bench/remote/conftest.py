from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from device_bench import ModelUnderTest
from device_bench.remote import Transport


@pytest.fixture
def models(tmp_path: Path) -> dict[str, ModelUnderTest]:
    """Two models that stock ONNX Runtime runs; one of them with the kernel library loaded."""
    found = {}
    for name, op in (("dense", "Relu"), ("sparse", "Sigmoid")):
        graph = helper.make_graph(
            [helper.make_node(op, ["x"], ["y"])],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 20_000])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 20_000])],
        )
        path = tmp_path / f"{name}.onnx"
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
        found[name] = ModelUnderTest(path, sparse=name == "sparse")
    return found


@pytest.fixture
def words(tmp_path: Path) -> dict[str, ModelUnderTest]:
    """Two models of token numbers, a mask and an image; the first output is of whole numbers."""
    found = {}
    for name, op in (("dense", "Relu"), ("sparse", "Sigmoid")):
        nodes = [
            helper.make_node("Gather", ["table", "ids"], ["rows"]),
            helper.make_node("Where", ["mask", "rows", "zero"], ["kept"]),
            helper.make_node(op, ["kept"], ["y"]),
            helper.make_node("Add", ["y", "image"], ["z"]),
            helper.make_node("ArgMax", ["z"], ["top"], axis=-1),
        ]
        graph = helper.make_graph(
            nodes,
            "g",
            [
                helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", 16]),
                helper.make_tensor_value_info("mask", TensorProto.BOOL, ["batch", 16, 1]),
                helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 16, 64]),
            ],
            [helper.make_tensor_value_info("top", TensorProto.INT64, ["batch", 16, 1])],
            [
                helper.make_tensor("table", TensorProto.FLOAT, [9, 64], [0.5] * 576),
                helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]),
            ],
        )
        path = tmp_path / f"words-{name}.onnx"
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
        found[name] = ModelUnderTest(path, sparse=name == "sparse")
    return found


@pytest.fixture
def shell(tmp_path: Path) -> Transport:
    """This machine's own shell in the part of a device."""
    return Transport("shell:here", ("sh", "-c"), str(tmp_path / "on the device"), lambda code, _: code == 255)
