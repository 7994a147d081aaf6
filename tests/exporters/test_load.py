"""Files that nobody vouches for: each ends in a model or in a sentence."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from exporters import (
    Limits,
    LoadError,
    MalformedModelError,
    NotOnnxError,
    TooLargeError,
    UnsupportedOpError,
    load,
    to_bytes,
)


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


def test_other_functions_are_refused(refuse: Callable, sparse: onnx.ModelProto) -> None:
    node = next(node for node in sparse.functions[0].node if node.op_type == "ConstantOfShape")
    node.output[0] = "other"
    assert "not the one" in refuse(sparse, UnsupportedOpError)


def test_missing_functions_are_refused(refuse: Callable, sparse: onnx.ModelProto) -> None:
    del sparse.functions[:]
    assert "function bodies of CsrConv, CsrGemm, DenseConv, DepthwiseConv" in refuse(sparse, MalformedModelError)


@pytest.mark.parametrize(("domain", "version"), [("", 99), ("", 1), ("", -1), ("chita.edge", 2)])
def test_other_operator_sets_are_refused(refuse: Callable, sparse: onnx.ModelProto, domain: str, version: int) -> None:
    for entry in [entry for entry in sparse.opset_import if entry.domain == domain]:
        sparse.opset_import.remove(entry)
    sparse.opset_import.append(helper.make_opsetid(domain, version))
    assert f"version {version}" in refuse(sparse, UnsupportedOpError)


def test_operator_sets_that_no_node_uses_may_be_imported(
    tiny: onnx.ModelProto, refuse: Callable, tmp_path: Path
) -> None:
    tiny.opset_import.append(helper.make_opsetid("ai.onnx.ml", 2))
    (tmp_path / "model.onnx").write_bytes(to_bytes(tiny))
    assert load(tmp_path / "model.onnx") == tiny
    tiny.graph.node[1].domain = "ai.onnx.ml"
    assert "of the operator set 'ai.onnx.ml'" in refuse(tiny, UnsupportedOpError)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_mutated_files_end_in_a_model_or_a_sentence(
    sparse: onnx.ModelProto, tmp_path: Path, mutated: Callable, data: st.DataObject
) -> None:
    path = tmp_path / "mutated.onnx"
    path.write_bytes(mutated(data, to_bytes(sparse)))
    try:
        load(path)
    except LoadError as error:
        assert str(path) in str(error)


def test_what_is_only_sound_in_structure_is_refused(refuse: Callable, foreign: onnx.ModelProto) -> None:
    refuse(foreign, UnsupportedOpError)


def test_open_sizes_are_bounded_at_the_sizes_that_are_given(tmp_path: Path) -> None:
    node = helper.make_node("GlobalAveragePool", ["x"], ["y"])
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3, 1, 1])],
    )
    path = tmp_path / "open.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    with pytest.raises(UnsupportedOpError, match="unless its size is given"):
        load(path)
    assert load(path, sizes={"x": (1, 3, 32, 32)}).graph.input[0].name == "x"
    with pytest.raises(TooLargeError, match="values up to 'y'"):
        load(path, sizes={"x": (1, 3, 2**15, 2**15)})
