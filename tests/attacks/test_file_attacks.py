"""Files that ask a runtime for more than it may have: refused with a sentence before ONNX Runtime sees them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_models
import onnxruntime
import pytest
from command_line import run_command
from onnx import TensorProto, helper, numpy_helper

import device_bench
import runtimes
from chita_edge.bundle import write_bundle
from chita_edge.report.layer_times import node_layers
from device_bench.errors import MeasurementError
from exporters import Decision, to_bytes, to_sparse

INPUT = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])
OUTPUT = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["a", "b"])
Attack = Callable[[Path], tuple[bytes, str]]
ATTACKS: dict[str, Attack] = {}


def attack(made: Attack) -> Attack:
    ATTACKS[made.__name__.replace("_", " ")] = made
    return made


def model(nodes: list[onnx.NodeProto], arrays: dict[str, Any]) -> onnx.ModelProto:
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "g", [INPUT], [OUTPUT], tensors)
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)])


@attack
def a_terabyte_by_broadcasting(folder: Path) -> tuple[bytes, str]:
    sizes = {"s": np.array([2**38, 4])}
    return model([helper.make_node("Expand", ["x", "s"], ["y"])], sizes).SerializeToString(), "bytes of memory"


@attack
def products_that_fold_to_gigabytes(folder: Path) -> tuple[bytes, str]:
    sides = {"a": np.ones((2**17, 1), np.float32), "b": np.ones((1, 2**17), np.float32)}
    nodes = [helper.make_node("MatMul", ["a", "b"], ["c"]), helper.make_node("ReduceMax", ["c"], ["y"])]
    return model(nodes, sides).SerializeToString(), "bytes of memory"


@attack
def a_sparse_weight_of_a_terabyte(folder: Path) -> tuple[bytes, str]:
    sparse = to_sparse(onnx_models.tiny(), lambda layer: Decision(True, "test")).model
    for tensor in sparse.graph.initializer:
        if tensor.name == "fc.weight_shape":
            tensor.CopyFrom(numpy_helper.from_array(np.array([10, 2**31 - 1]), tensor.name))
    return to_bytes(sparse), "node 'fc' has a weight of shape (10, 2147483647)"


@attack
def a_tensor_larger_than_its_bytes(folder: Path) -> tuple[bytes, str]:
    made = model([helper.make_node("Add", ["x", "w"], ["y"])], {"w": np.ones(4, np.float32)})
    made.graph.initializer[0].dims[:] = [2**33]
    return made.SerializeToString(), "bytes, but 16 are there"


def outside(folder: Path, location: str) -> tuple[bytes, str]:
    (folder.parent / "secret").write_bytes(bytes(16))
    made = model([helper.make_node("Add", ["x", "w"], ["y"])], {"w": np.ones(4, np.float32)})
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    return made.SerializeToString(), "tensor 'w' refers to"


@attack
def data_in_the_folder_above(folder: Path) -> tuple[bytes, str]:
    return outside(folder, "../secret")


@attack
def data_by_an_absolute_path(folder: Path) -> tuple[bytes, str]:
    return outside(folder, str(folder.parent / "secret"))


@attack
def data_by_a_link(folder: Path) -> tuple[bytes, str]:
    (folder / "data").symlink_to(folder.parent / "secret")
    return outside(folder, "data")


@attack
def data_from_a_pipe(folder: Path) -> tuple[bytes, str]:
    os.mkfifo(folder / "data")
    return outside(folder, "data")


@attack
def branches(folder: Path) -> tuple[bytes, str]:
    result = helper.make_tensor_value_info("b", TensorProto.FLOAT, None)
    inner = helper.make_graph([helper.make_node("Identity", ["x"], ["b"])], "b", [], [result])
    node = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
    return model([node], {"c": np.array(True)}).SerializeToString(), "an operator that is not read here"


@attack
def a_function_that_hides_a_loop(folder: Path) -> tuple[bytes, str]:
    made = to_sparse(onnx_models.tiny(), lambda layer: Decision(True, "test")).model
    made.functions[0].node.append(helper.make_node("Loop", ["X"], ["z"]))
    return to_bytes(made), "is not the one this version writes"


@attack
def graphs_in_graphs(folder: Path) -> tuple[bytes, str]:
    payload = b""
    for _ in range(3000):
        for tag in (0x32, 0x2A, 0x0A):  # graph { node { attribute { g { … as protobuf's own writer would recurse
            payload = bytes([tag]) + varint(len(payload)) + payload
    return b"\x08\x0a\x3a" + varint(len(payload)) + payload, "nested too deeply"


def varint(number: int) -> bytes:
    found = b""
    while number > 127:
        found += bytes([number & 127 | 128])
        number >>= 7
    return found + bytes([number])


@attack
def nothing_at_all(folder: Path) -> tuple[bytes, str]:
    return b"", "it is empty"


@pytest.fixture
def unopened(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime is not there to be handed anything."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("ONNX Runtime was handed the file")

    monkeypatch.setattr(onnxruntime, "InferenceSession", refuse)


@pytest.fixture(params=ATTACKS)
def hostile(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    folder = tmp_path / "inner"
    folder.mkdir()
    content, words = ATTACKS[request.param](folder)
    (folder / "model.onnx").write_bytes(content)
    return folder / "model.onnx", words


@pytest.mark.usefixtures("unopened")
def test_no_session_and_no_measurement_is_made_of_it(hostile: tuple[Path, str]) -> None:
    path, words = hostile
    for make in (runtimes.session, runtimes.dense_session):
        with pytest.raises(runtimes.SessionError) as refused:
            make(path)
        assert words in str(refused.value)
        assert str(path) in str(refused.value)
    for sparse in (False, True):
        under_test = device_bench.ModelUnderTest(path, sparse=sparse)
        with pytest.raises(MeasurementError, match="The model 'mine' cannot be measured") as unmeasured:
            device_bench.measure({"mine": under_test}, samples=1)
        assert words in str(unmeasured.value)
    assert node_layers(path) == {}


@pytest.mark.usefixtures("unopened")
def test_a_file_of_terabytes_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with path.open("wb") as file:
        file.truncate(2**42)  # takes no room on the disk
    with pytest.raises(runtimes.SessionError, match=r"more than the \d+ allowed"):
        runtimes.session(path)


@pytest.mark.usefixtures("unopened")
def test_a_bundle_whose_manifest_is_right_may_hold_hostile_models_nevertheless(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, words = ATTACKS["a terabyte by broadcasting"](tmp_path)
    good = onnx_models.tiny().SerializeToString()
    for number, files in enumerate(({"model.onnx": content, "model.dense.onnx": good},
                                    {"model.onnx": good, "model.dense.onnx": content})):  # fmt: skip
        bundle = write_bundle(tmp_path / f"bundle-{number}", files, {"model": "mine"})
        done = run_command(capsys, "bench", str(bundle), "--samples", "50")
        assert (done.returncode, words in done.stderr) == (1, True)
        assert "Traceback" not in done.stderr


def test_a_model_with_its_data_beside_it_is_opened_and_one_of_ones_own_may_do_anything(tmp_path: Path) -> None:
    content, _ = outside(tmp_path, "data")
    (tmp_path / "data").write_bytes(np.arange(4, dtype=np.float32).tobytes())
    (tmp_path / "model.onnx").write_bytes(content)
    for options in ({}, {"trusted": True}):
        session = runtimes.dense_session(tmp_path / "model.onnx", **options)
        assert session.run(None, {"x": np.zeros((1, 4), np.float32)})[0].tolist() == [[0, 1, 2, 3]]
    branching, _ = branches(tmp_path)
    (tmp_path / "model.onnx").write_bytes(branching)
    session = runtimes.session(tmp_path / "model.onnx", trusted=True)
    assert session.run(None, {"x": np.ones((1, 4), np.float32)})[0].tolist() == [[1, 1, 1, 1]]
    assert runtimes.session(branching).get_outputs()[0].name == "y"  # bytes are the caller's own
