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
def shell(tmp_path: Path) -> Transport:
    """This machine's own shell in the part of a device."""
    return Transport("shell:here", ("sh", "-c"), str(tmp_path / "on the device"), lambda code, _: code == 255)
