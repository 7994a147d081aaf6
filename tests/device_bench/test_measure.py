from __future__ import annotations

import gc
import os
import weakref
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from device_bench import BenchPlan, ModelUnderTest, load, measure
from device_bench.devices import DEVICES, get_device
from device_bench.errors import MeasurementError, PlanError, UnknownDeviceError
from device_bench.sampling.prepared import bound
from runtimes import dense_session


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Relu on (batch, 64), the batch left open."""
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 64])],
    )
    path = tmp_path / "relu.onnx"
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10).SerializeToString()
    )
    return path


def test_dense_and_library_on_this_machine(model: Path, tmp_path: Path) -> None:
    models = {"dense": ModelUnderTest(model, sparse=False), "sparse": ModelUnderTest(model, sparse=True)}
    told: list[float] = []
    measurement = measure(models, samples=50, seed=3, progress=told.append)
    context = measurement.results.context
    assert measurement.results.names == ("dense", "sparse")
    for benchmark in measurement.results.benchmarks:
        assert len(benchmark.samples) == len(benchmark.timestamps_s) == 50
    assert (context.device, context.seed, context.threads, context.interleaved) == ("local", 3, 1, True)
    assert set(context.sha256) == {"dense", "sparse", "kernel library"}
    assert context.isa
    assert told[-1] == 1.0
    assert gc.isenabled()
    measurement.save(tmp_path / "run.json")
    assert load(tmp_path / "run.json") == measurement.results


def test_pins_to_cores_and_lets_go_again(model: Path) -> None:
    allowed = os.sched_getaffinity(0)
    core = min(allowed)
    measurement = measure({"m": ModelUnderTest(model, sparse=False)}, plan=BenchPlan(samples=3, cores=(core,)))
    assert measurement.results.context.affinity == (core,)
    assert os.sched_getaffinity(0) == allowed
    with pytest.raises(PlanError, match="cores 1000"):
        measure({"m": ModelUnderTest(model, sparse=False)}, plan=BenchPlan(cores=(1000,)))


def test_a_model_that_does_not_run_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a model")
    for path in (broken, tmp_path / "missing.onnx"):
        with pytest.raises(MeasurementError, match=f"'m'.*{path.name}"):
            measure({"m": ModelUnderTest(path, sparse=False)})


def test_an_input_that_cannot_be_made_up(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.STRING, [1])],
        [helper.make_tensor_value_info("y", TensorProto.STRING, [1])],
    )
    path = tmp_path / "text.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)
    with pytest.raises(MeasurementError, match="tensor\\(string\\)"):
        measure({"m": ModelUnderTest(path, sparse=False, trusted=True)})


def test_nothing_to_measure_and_nowhere() -> None:
    with pytest.raises(PlanError, match="no model"):
        measure({})
    with pytest.raises(UnknownDeviceError, match=r"'toaster'.*local"):
        measure({"m": ModelUnderTest(Path("m"), sparse=False)}, device="toaster")
    with pytest.raises(UnknownDeviceError, match="no address"):
        get_device("local:8")


def test_the_local_device_is_reachable() -> None:
    availability = get_device("local").probe()
    assert availability.reachable
    assert availability.detail
    assert get_device("local").name == "local"
    assert "local" in DEVICES


def test_a_profile_and_memory_when_asked(model: Path) -> None:
    plain = measure({"m": ModelUnderTest(model, sparse=True)}, plan=BenchPlan(samples=5)).results.benchmark("m")
    assert plain.profile == ()
    assert plain.session_ms
    assert plain.steady_memory_bytes is not None
    assert plain.peak_memory_bytes is not None
    assert plain.peak_memory_bytes >= plain.steady_memory_bytes
    asked = measure(
        {"m": ModelUnderTest(model, sparse=True)}, plan=BenchPlan(samples=5, profile=True)
    ).results.benchmark("m")
    assert asked.profile
    assert all(entry.ms >= 0 for entry in asked.profile)


def test_another_file_of_the_network_is_profiled_in_its_place(model: Path, tmp_path: Path) -> None:
    renamed = onnx.load(model)
    for node in renamed.graph.node:
        node.name = f"other.{node.name}"
    onnx.save(renamed, tmp_path / "other.onnx")
    subject = ModelUnderTest(model, sparse=True, profiled=tmp_path / "other.onnx")
    found = measure({"m": subject}, plan=BenchPlan(samples=5, profile=True)).results.benchmark("m")
    assert found.profile
    assert all(entry.node.startswith("other.") for entry in found.profile)


def test_a_bound_run_keeps_its_arrays_and_runs_the_model(model: Path) -> None:
    session = dense_session(model)
    x = np.linspace(-1, 1, 64, dtype=np.float32)[None]
    run = bound(session, {"x": x})
    alive = [weakref.ref(thing) for thing in (session, x)]
    del session, x
    gc.collect()
    run()
    assert all(reference() is not None for reference in alive)
    assert isinstance(run, partial)
    ports, _ = run.args
    (y,) = ports.copy_outputs_to_cpu()
    np.testing.assert_array_equal(y, np.maximum(np.linspace(-1, 1, 64, dtype=np.float32)[None], 0))
