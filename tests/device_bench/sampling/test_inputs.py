"""A model is measured at a size that somebody runs, or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from device_bench import BenchPlan, ModelUnderTest, measure
from device_bench.errors import MeasurementError, PlanError
from device_bench.plan import parse_input_shapes
from device_bench.sampling.inputs import as_runner_words, input_shape, inputs_of, made_up


def relu(path: Path, shape: list[int | str | None], kind: int = TensorProto.FLOAT) -> Path:
    values = [helper.make_tensor_value_info(name, kind, shape) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", values[:1], values[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.parametrize(
    ("declared", "given", "shape"),
    [
        ([1, 3, 8, 8], None, (1, 3, 8, 8)),
        (["n", 3, 8, 8], None, (1, 3, 8, 8)),
        ([None, 64], None, (1, 64)),
        ([0, 64], None, (1, 64)),
        ([4], None, (4,)),
        ([], None, ()),
        (["n", 3, "h", "w"], (2, 3, 32, 48), (2, 3, 32, 48)),
        (["length"], (100,), (100,)),
        ([1, 3, 8, 8], (1, 3, 8, 8), (1, 3, 8, 8)),
    ],
)
def test_open_dimensions(declared: list[object], given: tuple[int, ...] | None, shape: tuple[int, ...]) -> None:
    assert input_shape("x", declared, {"x": given} if given else {}) == shape


@pytest.mark.parametrize(
    ("declared", "given", "sentence"),
    [
        (["n", 3, "h", "w"], None, r"'x' has the shape n×3×h×w, .* --input x=1x3xSIZExSIZE"),
        ([1, 3, None, 8], None, r"1×3×\?×8, .* x=1x3xSIZEx8"),
        (["length"], None, r"--input x=SIZE or"),
        ([1, 3, 0, 8], None, r"leaves its size open"),
        (["n", 3, "h", "w"], (1, 3, 8), r"the shape n×3×h×w in the file; 1×3×8 does not fit"),
        ([1, 3, 8, 8], (1, 3, 9, 8), r"1×3×9×8 does not fit"),
    ],
)
def test_what_is_open_is_asked_for_and_what_is_fixed_stays(
    declared: list[object], given: tuple[int, ...] | None, sentence: str
) -> None:
    with pytest.raises(PlanError, match=sentence):
        input_shape("x", declared, {"x": given} if given else {})


def test_a_measurement_asks_and_then_says_the_sizes(tmp_path: Path) -> None:
    path = relu(tmp_path / "net.onnx", ["n", 3, "height", "width"])
    with pytest.raises(MeasurementError, match="dimension 2 of input 'x' is not fixed"):
        measure({"net": ModelUnderTest(path, sparse=False)}, samples=3)
    models = {"net": ModelUnderTest(path, sparse=False, trusted=True)}
    with pytest.raises(PlanError, match=r"net .*net\.onnx.* The input 'x' has the shape n×3×height×width"):
        measure(models, samples=3)
    with pytest.raises(PlanError, match="no input 'image'; it has x"):
        measure(models, plan=BenchPlan(samples=3, input_shapes={"image": (1, 3, 8, 8)}))
    plan = BenchPlan(samples=3, input_shapes={"x": (1, 3, 16, 24)})
    assert measure(models, plan=plan).results.benchmark("net").input_shapes == {"x": (1, 3, 16, 24)}


def test_a_device_asks_too(tmp_path: Path) -> None:
    path = relu(tmp_path / "net.onnx", ["n", 3, "height", "width"])
    with pytest.raises(PlanError, match="n×3×height×width"):
        inputs_of(path, 0)
    ((name, x),) = inputs_of(path, 0, {"x": (1, 3, 4, 5)}).items()
    assert (name, x.shape, x.dtype) == ("x", (1, 3, 4, 5), np.float32)
    with pytest.raises(MeasurementError, match="has the input 'x' of type bfloat16, for which none can be made up"):
        inputs_of(relu(tmp_path / "brain.onnx", [1, 4], TensorProto.BFLOAT16), 0)


def test_a_device_is_given_what_a_session_here_is_given(tmp_path: Path) -> None:
    """The runner reads its inputs one behind the other, each with ONNX's number of its type."""
    values = [
        helper.make_tensor_value_info(name, kind, shape)
        for name, kind, shape in (
            ("image", TensorProto.FLOAT, ["n", 2]),
            ("ids", TensorProto.INT64, [1, 3]),
            ("mask", TensorProto.BOOL, [1, 3]),
            ("scale", TensorProto.DOUBLE, []),
        )
    ]
    graph = helper.make_graph([helper.make_node("Relu", ["image"], ["y"])], "g", values, [])
    onnx.save(helper.make_model(graph), tmp_path / "net.onnx")
    found = inputs_of(tmp_path / "net.onnx", 7)
    rng = np.random.default_rng(7)
    image, scale = made_up(rng, (1, 2), "tensor(float)"), made_up(rng, (), "tensor(double)")
    content, words = as_runner_words(found.values())
    assert content == image.tobytes() + bytes(3 * 8) + bytes([1] * 3) + scale.tobytes()
    assert words == ["--shape", "1:1,2", "--shape", "7:1,3", "--shape", "9:1,3", "--shape", "11:"]


def test_sizes_are_read_from_the_command_line() -> None:
    assert parse_input_shapes(["x=1x3x320x320", "mask = 1, 320", "a=b=7"]) == {
        "x": (1, 3, 320, 320),
        "mask": (1, 320),
        "a=b": (7,),
    }
    for text in ("x", "x=", "x=1x", "x=-1", "=3", "x=1x3.5", "x=1_0"):
        with pytest.raises(PlanError, match="NAME=SHAPE"):
            parse_input_shapes([text])
    with pytest.raises(PlanError, match="two sizes"):
        parse_input_shapes(["x=1", "x=2"])
    for shape in ((), (0,), (1, -3), (1 << 40,)):
        with pytest.raises(PlanError, match="cannot have the shape"):
            BenchPlan(input_shapes={"x": shape})


def test_made_up_values() -> None:
    rng = np.random.default_rng(0)
    assert made_up(rng, (2, 3), "tensor(int64)").tolist() == [[0] * 3] * 2
    assert made_up(rng, (), "tensor(float)").shape == ()
    with pytest.raises(MeasurementError, match="too large"):
        made_up(rng, (1 << 20, 1 << 20), "tensor(float)")


def test_outputs_of_another_rank_than_declared_are_measured_unbound(tmp_path: Path) -> None:
    """ONNX Runtime holds a bound output against the declared rank from the second run on."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3, 4]) for name in "xy"]
    nodes = [helper.make_node("Squeeze", ["x"], ["u"]), helper.make_node("Relu", ["u"], ["y"])]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:])
    path = tmp_path / "wrong.onnx"
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=6).SerializeToString()
    )
    right = relu(tmp_path / "right.onnx", [1, 3, 4])
    models = {name: ModelUnderTest(file, sparse=False) for name, file in (("wrong", path), ("right", right))}
    measurement = measure(models, samples=9)
    assert "The outputs of wrong do not have the ranks that the file declares" in measurement.warnings[0]
    assert measurement.summary("wrong").samples == measurement.summary("right").samples == 9
