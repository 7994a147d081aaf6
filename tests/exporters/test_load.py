"""Files that nobody vouches for: each ends in a model or in a sentence."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from exporters import (
    Decision,
    ExternalDataError,
    Limits,
    LoadError,
    MalformedModelError,
    NotOnnxError,
    TooLargeError,
    UnsupportedOpError,
    load,
    to_bytes,
    to_sparse,
)
from exporters.ops import CSR_GEMM, OPSET


@pytest.fixture
def sparse(tiny: onnx.ModelProto) -> onnx.ModelProto:
    return to_sparse(tiny, lambda info: Decision(sparse=True, reason="test")).model


@pytest.fixture
def refuse(tmp_path: Path) -> Callable[..., str]:
    """Write a file, expect its refusal, return the sentence."""

    def check(content: onnx.ModelProto | bytes, error: type[LoadError], limits: Limits | None = None) -> str:
        path = tmp_path / "model.onnx"
        path.write_bytes(content if isinstance(content, bytes) else content.SerializeToString())
        with pytest.raises(error) as caught:
            load(path, limits or Limits())
        assert type(caught.value) is error
        sentence = str(caught.value)
        assert sentence.startswith(f"{path}: ")
        assert sentence.endswith(".")
        return sentence

    return check


def graph_model(
    nodes: list[onnx.NodeProto], initializers: dict[str, Any], output: str, shape: list[Any] | None = None
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "main",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in initializers.items()],
    )
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", OPSET)])


def initializer(model: onnx.ModelProto, name: str) -> TensorProto:
    return next(tensor for tensor in model.graph.initializer if tensor.name == name)


def replace(model: onnx.ModelProto, name: str, values: Any, dtype: Any) -> None:
    initializer(model, name).CopyFrom(numpy_helper.from_array(np.asarray(values, dtype), name))


def test_what_was_saved_comes_back(sparse: onnx.ModelProto, tiny: onnx.ModelProto, tmp_path: Path) -> None:
    for model in (sparse, tiny):
        (tmp_path / "model.onnx").write_bytes(to_bytes(model))
        assert load(tmp_path / "model.onnx") == model


@pytest.mark.parametrize("content", [b"", b"\x00", b"no model at all", b"\x08\x0a", bytes(1000), b"PK\x03\x04"])
def test_what_is_no_onnx_is_refused(refuse: Callable, content: bytes) -> None:
    refuse(content, NotOnnxError)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_truncated_files_are_refused(refuse: Callable, sparse: onnx.ModelProto, share: float) -> None:
    data = to_bytes(sparse)
    assert "truncated" in refuse(data[: int(len(data) * share)], NotOnnxError)


def test_nothing_there_a_folder_and_a_pipe_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "missing", tmp_path, tmp_path / "pipe", tmp_path / "nul\0byte"):
        with pytest.raises(NotOnnxError, match="path of an"):
            load(path)


def test_deep_nesting_is_refused(refuse: Callable) -> None:
    # graph { node { attribute { g { node { … nested by hand, as protobuf's own writer would recurse.
    payload = b""
    for _ in range(400):
        for tag in (0x32, 0x2A, 0x0A):
            length = len(payload)
            size = b""
            while length > 127:
                size += bytes([length & 127 | 128])
                length >>= 7
            payload = bytes([tag]) + size + bytes([length]) + payload
    size = len(payload)
    header = b"\x3a" + bytes([size & 127 | 128, size >> 7 & 127 | 128, size >> 14])
    refuse(b"\x08\x0a" + header + payload, NotOnnxError)


def test_large_files_are_refused(refuse: Callable, sparse: onnx.ModelProto) -> None:
    assert "more than the 100 allowed" in refuse(sparse, TooLargeError, Limits(file_bytes=100))


def test_a_tensor_without_its_bytes_is_refused(refuse: Callable) -> None:
    model = graph_model([helper.make_node("Identity", ["w"], ["y"])], {}, "y")
    model.graph.initializer.append(TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2**29]))
    sentence = refuse(model, MalformedModelError)
    assert "2147483648 bytes" in sentence
    assert len(to_bytes(model)) < 130


def test_sparse_initializers_are_refused(refuse: Callable) -> None:
    model = graph_model([helper.make_node("Identity", ["w"], ["y"])], {}, "y")
    values = numpy_helper.from_array(np.ones(1, np.float32), "w")
    indices = numpy_helper.from_array(np.zeros(1, np.int64), "i")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [2**29]))
    assert "'w' is a sparse_initializer" in refuse(model, UnsupportedOpError)


def test_a_weight_that_densifies_to_gigabytes_is_refused(refuse: Callable, edge_model: Callable) -> None:
    columns = 2**22
    weight, bias = np.zeros((64, 4), np.float32), np.zeros(64, np.float32)
    model = edge_model(CSR_GEMM, weight, bias, ["batch", columns], {})
    replace(model, "layer.weight_shape", [64, columns], np.int64)
    assert "densified" in refuse(model, TooLargeError)
    assert len(to_bytes(model)) < 4096


BOMBS: dict[str, tuple[list[onnx.NodeProto], dict[str, Any]]] = {
    "ConstantOfShape": ([helper.make_node("ConstantOfShape", ["s"], ["y"])], {"s": np.array([2**31], np.int64)}),
    "Expand": (
        [helper.make_node("Expand", ["w", "s"], ["y"])],
        {"w": np.ones(1, np.float32), "s": np.array([2**16, 2**16])},
    ),
    "Tile": ([helper.make_node("Tile", ["w", "s"], ["y"])], {"w": np.ones(1, np.float32), "s": np.array([2**31])}),
    "Pad": ([helper.make_node("Pad", ["w", "s"], ["y"])], {"w": np.ones(1, np.float32), "s": np.array([0, 2**31])}),
    "outer product": (
        [helper.make_node("MatMul", ["a", "b"], ["y"])],
        {"a": np.ones((2**16, 1), np.float32), "b": np.ones((1, 2**16), np.float32)},
    ),
    "broadcast": (
        [helper.make_node("Add", ["a", "b"], ["y"])],
        {"a": np.ones((2**16, 1), np.float32), "b": np.ones((1, 2**16), np.float32)},
    ),
    "doubling": (
        [helper.make_node("Concat", [f"v{i}", f"v{i}"], [f"v{i + 1}" if i < 39 else "y"], axis=0) for i in range(40)],
        {"v0": np.ones(4, np.float32)},
    ),
    "many": (
        [helper.make_node("Expand", ["w", "s"], [f"v{i}" if i < 99 else "y"]) for i in range(100)],
        {"w": np.ones(1, np.float32), "s": np.array([2**12, 2**12])},
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused(refuse: Callable, name: str) -> None:
    nodes, initializers = BOMBS[name]
    sentence = refuse(graph_model(nodes, initializers, "y"), TooLargeError)
    assert "bytes of memory" in sentence


UNKNOWN = {
    "Range": (
        [helper.make_node("Range", ["a", "b", "c"], ["y"])],
        {"a": np.float32(0), "b": np.float32(2**31), "c": np.float32(1)},
    ),
    "computed shape": (
        [helper.make_node("Mul", ["s", "s"], ["t"]), helper.make_node("ConstantOfShape", ["t"], ["y"])],
        {"s": np.array([2**16], np.int64)},
    ),
    "NonZero": (
        [helper.make_node("NonZero", ["x"], ["n"]), helper.make_node("Cast", ["n"], ["y"], to=1)],
        {},
    ),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_sizes_that_only_computing_tells_are_refused(refuse: Callable, name: str) -> None:
    nodes, initializers = UNKNOWN[name]
    model = graph_model(nodes, initializers, "y")
    path_error = refuse(model, TooLargeError if name == "Range" else UnsupportedOpError)
    assert "y" in path_error or "n" in path_error


def test_branches_are_refused(refuse: Callable) -> None:
    branch = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["b"])], "b", [], [helper.make_tensor_value_info("b", 1, None)]
    )
    node = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    assert "branches" in refuse(graph_model([node], {"c": np.array(True)}, "y"), UnsupportedOpError)


def test_other_functions_are_refused(refuse: Callable, sparse: onnx.ModelProto) -> None:
    node = next(node for node in sparse.functions[0].node if node.op_type == "ConstantOfShape")
    node.output[0] = "other"
    assert "not the one" in refuse(sparse, UnsupportedOpError)


def test_missing_functions_are_refused(refuse: Callable, sparse: onnx.ModelProto) -> None:
    del sparse.functions[:]
    assert "function bodies of CsrConv, CsrGemm, DenseConv, DepthwiseConv" in refuse(sparse, MalformedModelError)


@pytest.mark.parametrize(("domain", "version"), [("", 99), ("", 1), ("", -1), ("chita.edge", 2), ("com.microsoft", 1)])
def test_other_operator_sets_are_refused(refuse: Callable, sparse: onnx.ModelProto, domain: str, version: int) -> None:
    for entry in [entry for entry in sparse.opset_import if entry.domain == domain]:
        sparse.opset_import.remove(entry)
    sparse.opset_import.append(helper.make_opsetid(domain, version))
    assert f"version {version}" in refuse(sparse, UnsupportedOpError)


CSR_ATTACKS = [
    ("pw.row_ptr", [0] * 16, np.int32, "row_ptr"),
    ("pw.row_ptr", [1] * 17, np.int32, "row_ptr"),
    ("pw.row_ptr", [0] * 17, np.int64, "types"),
    ("pw.col_idx", [0], np.uint8, "column indices"),
    ("pw.values", [0], np.float64, "types"),
    ("pw.weight_shape", [16, 8, 1], np.int64, "weight_shape"),
    ("pw.weight_shape", [16, 8, 1, 1], np.int32, "weight_shape"),
    ("pw.bias", [0] * 15, np.float32, "bias"),
    ("dw.W", np.zeros((8, 2, 3, 3)), np.float32, "dw"),
    ("stem.W", np.zeros((8, 3, 3)), np.float32, "stem.W"),
]


@pytest.mark.parametrize(("name", "values", "dtype", "message"), CSR_ATTACKS)
def test_weights_that_are_not_csr_are_refused(
    refuse: Callable, sparse: onnx.ModelProto, name: str, values: Any, dtype: Any, message: str
) -> None:
    replace(sparse, name, values, dtype)
    assert message in refuse(sparse, MalformedModelError)


@pytest.mark.parametrize("shape", [[0, 8, 1, 1], [-16, 8, 1, 1], [2**62, 2**62, 1, 1], [16, 2**31, 2**31, 2]])
def test_dimensions_that_overflow_are_refused(refuse: Callable, sparse: onnx.ModelProto, shape: list[int]) -> None:
    replace(sparse, "pw.weight_shape", shape, np.int64)
    assert "pw.weight_shape" in refuse(sparse, TooLargeError)


@pytest.mark.parametrize("value", [-1, 0, 2**40])
@pytest.mark.parametrize("name", ["strides", "dilations", "pads"])
def test_odd_geometry_is_refused(refuse: Callable, sparse: onnx.ModelProto, name: str, value: int) -> None:
    if (name, value) == ("pads", 0):
        return
    attribute = next(attribute for attribute in sparse.graph.node[2].attribute if attribute.name == name)
    attribute.ints[0] = value
    assert "'pw'" in refuse(sparse, MalformedModelError)


def test_weights_must_be_constant(refuse: Callable, sparse: onnx.ModelProto) -> None:
    sparse.graph.node[2].input[1] = "relu"
    assert "values of node 'pw'" in refuse(sparse, MalformedModelError)


@pytest.mark.parametrize("change", ["order", "twice", "output", "initializer", "input"])
def test_graphs_that_contradict_themselves_are_refused(refuse: Callable, sparse: onnx.ModelProto, change: str) -> None:
    graph = sparse.graph
    if change == "order":
        first = onnx.NodeProto.FromString(graph.node[0].SerializeToString())
        del graph.node[0]
        graph.node.append(first)
    elif change == "twice":
        graph.node.append(graph.node[0])
    elif change == "output":
        graph.output[0].name = "nobody"
    elif change == "initializer":
        graph.initializer.append(graph.initializer[0])
    else:
        graph.input.append(helper.make_tensor_value_info(graph.initializer[0].name, 1, [1]))
    refuse(sparse, MalformedModelError)


@pytest.mark.parametrize("dims", [["batch", 1, "h", 8], ["batch", 1, None, 8]])
def test_images_of_any_size_are_refused(refuse: Callable, sparse: onnx.ModelProto, dims: list[Any]) -> None:
    sparse.graph.input[0].CopyFrom(helper.make_tensor_value_info("input", TensorProto.FLOAT, dims))
    assert "only the batch may vary" in refuse(sparse, UnsupportedOpError)


def external(model: onnx.ModelProto, name: str, location: str, **entries: str) -> bytes:
    tensor = initializer(model, name)
    data = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    return data


def test_external_data_beside_the_model_is_read_into_it(tiny: onnx.ModelProto, tmp_path: Path) -> None:
    whole = onnx.ModelProto.FromString(tiny.SerializeToString())
    data = external(tiny, "pw.weight", "data/weights.bin", offset="16")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "weights.bin").write_bytes(bytes(16) + data)
    (tmp_path / "model.onnx").write_bytes(tiny.SerializeToString())
    assert load(tmp_path / "model.onnx") == whole


@pytest.mark.parametrize(
    "location", ["/etc/hostname", "../secret", "data/../../secret", "link", "linked/secret", "", ".", "missing", "pipe"]
)
def test_external_data_elsewhere_is_refused(
    refuse: Callable, tiny: onnx.ModelProto, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, location: str
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    data = external(tiny, "pw.weight", location)
    (outside / "secret").write_bytes(data)
    (tmp_path.parent / "secret").write_bytes(data)
    (tmp_path / "link").symlink_to(outside / "secret")
    (tmp_path / "linked").symlink_to(outside)
    os.mkfifo(tmp_path / "pipe")
    assert "'pw.weight' refers to" in refuse(tiny, ExternalDataError)


def test_a_hard_link_is_refused(refuse: Callable, tiny: onnx.ModelProto, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(external(tiny, "pw.weight", "weights"))
    os.link(tmp_path / "secret", tmp_path / "weights")
    assert "hard link" in refuse(tiny, ExternalDataError)


@pytest.mark.parametrize(
    "entries", [{"offset": "8"}, {"length": "4"}, {"offset": "-1"}, {"offset": "x"}, {"length": "9" * 30}]
)
def test_external_data_of_another_size_is_refused(
    refuse: Callable, tiny: onnx.ModelProto, tmp_path: Path, entries: dict[str, str]
) -> None:
    (tmp_path / "weights").write_bytes(external(tiny, "pw.weight", "weights", **entries))
    refuse(tiny, ExternalDataError)


def test_external_data_in_all_is_bounded(refuse: Callable, tiny: onnx.ModelProto) -> None:
    external(tiny, "pw.weight", "weights")
    initializer(tiny, "pw.weight").dims[0] = 2**40
    assert "more external data" in refuse(tiny, TooLargeError)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_mutated_files_end_in_a_model_or_a_sentence(
    sparse: onnx.ModelProto, tmp_path: Path, data: st.DataObject
) -> None:
    content = bytearray(to_bytes(sparse))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content) - 1))
        kind = data.draw(st.sampled_from(["flip", "cut", "copy"]))
        if kind == "flip":
            content[start] ^= data.draw(st.integers(1, 255))
        elif kind == "cut":
            del content[start : start + data.draw(st.integers(1, 64))]
        else:
            content[start:start] = content[start : start + data.draw(st.integers(1, 64))]
        if not content:
            break
    path = tmp_path / "mutated.onnx"
    path.write_bytes(content)
    try:
        load(path)
    except LoadError as error:
        assert str(path) in str(error)
