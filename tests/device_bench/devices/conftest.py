from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import arm64_device
import onnx
import pytest
from onnx import TensorProto, helper

from device_bench import ModelUnderTest
from device_bench.emulation import EmulationUnavailableError
from device_bench.emulation.prepare import onnxruntime_library


@pytest.fixture
def models(tmp_path: Path) -> dict[str, ModelUnderTest]:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 5000])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 5000])],
    )
    path = tmp_path / "relu.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return {"dense": ModelUnderTest(path, sparse=False)}


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[arm64_device.Machine]:
    """An arm64 machine, in which nothing runs yet."""
    try:
        onnxruntime_library()
    except EmulationUnavailableError as error:
        pytest.skip(str(error))
    if why := arm64_device.missing():
        pytest.skip(why)
    with arm64_device.machine(tmp_path_factory.mktemp("board")) as found:
        yield found
