from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import device_bench
from chita_edge.report.layer_times import attribute, layer_times, node_layers
from device_bench.results import Benchmark, OpTime, Results


def residual(path: Path) -> Path:
    """x → first → Relu → (second, shortcut) → Add → Relu, as a residual block has it."""
    names = ("first", "second", "shortcut")
    weights = [numpy_helper.from_array(np.ones((16, 16, 1, 1), np.float32), f"{name}.weight") for name in names]
    nodes = [
        helper.make_node("Conv", ["x", "first.weight"], ["a"], name="first"),
        helper.make_node("Relu", ["a"], ["b"], name="relu"),
        helper.make_node("Conv", ["b", "second.weight"], ["c"], name="second"),
        helper.make_node("Conv", ["b", "shortcut.weight"], ["d"], name="shortcut"),
        helper.make_node("Add", ["c", "d"], ["e"], name="sum"),
        helper.make_node("Relu", ["e"], ["y"], name="relu_1"),
    ]
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 16, 8, 8]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "g", value[:1], value[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def test_activations_and_sums_stand_for_the_layers_before_them(tmp_path: Path) -> None:
    aliases = node_layers(residual(tmp_path / "m.onnx"))
    both = ("second", "shortcut")
    alone = {"a": ("first",), "relu": ("first",), "b": ("first",), "c": ("second",), "d": ("shortcut",)}
    assert aliases == {**alone, "sum": both, "e": both, "relu_1": both, "y": both}
    (tmp_path / "junk.onnx").write_bytes(b"junk")
    assert node_layers(tmp_path / "junk.onnx") == node_layers(tmp_path / "none.onnx") == {}


def test_a_merged_node_is_the_layer_that_has_no_node_of_its_own() -> None:
    aliases = {"relu": ("first",), "relu_1": ("second", "shortcut"), "lost": ("first", "shortcut")}
    profile = [
        OpTime(node=node, op="Conv", ms=ms)
        for node, ms in (("relu_nchwc", 1.0), ("shortcut", 2.0), ("relu_1_nchwc", 4.0), ("pool", 8.0), ("lost", 16.0))
    ]
    times, other = attribute(profile, {"first", "second", "shortcut"}, aliases)
    assert times == {"first": 1.0, "shortcut": 2.0, "second": 4.0}
    assert other == 24.0


def test_every_convolution_of_a_real_profile_is_found(tmp_path: Path) -> None:
    path = residual(tmp_path / "m.onnx")
    plan = device_bench.BenchPlan(samples=2, warmup_rounds=0, profile=True)
    results = device_bench.measure({"dense": device_bench.ModelUnderTest(path, sparse=False)}, plan=plan).results
    times = layer_times(results, ("first", "second", "shortcut"), node_layers(path))
    assert times is not None
    assert set(times.dense) == {"first", "second", "shortcut"}
    assert times.sparse == {}
    assert times.device == "local"


def test_results_without_profiles_have_none() -> None:
    results = Results(benchmarks=(Benchmark(name="dense", time_unit="ms", samples=(1.0,)),))
    assert layer_times(results, ("first",), {}) is None
