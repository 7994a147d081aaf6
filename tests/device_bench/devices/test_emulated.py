from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from device_bench import ModelUnderTest, measure
from device_bench.devices import get_device
from device_bench.errors import MeasurementError, PlanError, UnknownDeviceError
from device_bench.judging.compare import compare


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return relu(tmp_path / "relu.onnx", TensorProto.FLOAT)


def relu(path: Path, kind: int) -> Path:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", kind, ["batch", 4096])],
        [helper.make_tensor_value_info("y", kind, ["batch", 4096])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)
    return path


def test_counts_are_labelled_as_counts(model: Path) -> None:
    """That they repeat to a tenth of a percent, test_plugin_instructions.py says."""
    availability = get_device("emulated:cortex-a53").probe()
    if not availability.reachable:
        pytest.skip(availability.detail)
    models = {"dense": ModelUnderTest(model, sparse=False)}
    results = measure(models, device="emulated:cortex-a53").results
    assert results.context.kind == "instructions"
    assert results.benchmark("dense").time_unit == "instructions"
    assert results.benchmark("dense").samples[0] > 4096 / 4
    assert compare(results, results, max_regression="0.1%").outcome == "ok"


def test_what_cannot_be_counted_is_refused(tmp_path: Path, model: Path) -> None:
    device = get_device("emulated:cortex-a53")
    with pytest.raises(PlanError, match="one thread"):
        measure({"m": ModelUnderTest(model, sparse=False)}, device="emulated:cortex-a53", threads=2)
    with pytest.raises(UnknownDeviceError, match="emulated:cortex-a76"):
        get_device("emulated:z80")
    if device.probe().reachable:
        brain = relu(tmp_path / "brain.onnx", TensorProto.BFLOAT16)
        with pytest.raises(MeasurementError, match="for which none can be made up"):
            measure({"m": ModelUnderTest(brain, sparse=False, trusted=True)}, device="emulated:cortex-a53")
        (tmp_path / "broken.onnx").write_bytes(b"\xff\xff")
        broken = {"m": ModelUnderTest(tmp_path / "broken.onnx", sparse=False, trusted=True)}
        with pytest.raises(MeasurementError, match="could not be read"):
            measure(broken, device="emulated:cortex-a53")
