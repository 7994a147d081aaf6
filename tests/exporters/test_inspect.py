"""A row per layer, of our files and of others."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from exporters import Decision, FileReport, LoadError, inspect, save, to_bytes, to_sparse


def test_sparse_file(tiny: onnx.ModelProto, tmp_path: Path) -> None:
    sparse = to_sparse(tiny, lambda info: Decision(sparse=True, reason="test"))
    save(sparse.model, tmp_path / "model.onnx")
    report = inspect(tmp_path / "model.onnx")
    assert report.sparse_ops
    assert report.bytes == (tmp_path / "model.onnx").stat().st_size
    assert report.inputs == (("input", ("batch", 1, 8, 8)),)
    assert report.outputs == (("logits", ("batch", 10)),)
    assert report.other_ops == (("Flatten", 1), ("chita.edge:GlobalAveragePool", 1))
    assert len(report.layers) == len(sparse.layers)
    for row, made in zip(report.layers, sparse.layers, strict=True):
        assert (row.name, row.op, row.shape, row.format, row.nnz) == (
            made.name,
            made.op,
            made.shape,
            made.format,
            made.nnz,
        )
        assert (row.sparsity, row.bytes, row.bytes_dense) == (made.sparsity, made.bytes, made.bytes_dense)
    assert report.weights == 72 + 72 + 128 + 160
    assert report.nnz == sum(row.nnz for row in sparse.layers)
    assert report.sparsity == 1 - report.nnz / report.weights


def test_dense_file(tiny: onnx.ModelProto, tmp_path: Path) -> None:
    save(tiny, tmp_path / "model.onnx")
    report = inspect(tmp_path / "model.onnx")
    assert not report.sparse_ops
    assert [(row.op, row.format) for row in report.layers] == [
        ("Conv", "dense"),
        ("Conv", "depthwise"),
        ("Conv", "dense"),
        ("Gemm", "dense"),
    ]
    assert dict(report.other_ops) == {"Clip": 2, "Flatten": 1, "GlobalAveragePool": 1, "Relu": 1}


def test_a_weight_that_several_layers_share_counts_once(tmp_path: Path) -> None:
    weight = np.tile(np.array([0, 0, 1], np.float32), (6, 2))
    nodes = [helper.make_node("Gemm", [source, "w"], [made], made) for source, made in ("xa", "ab", "by")]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 6])],
        [numpy_helper.from_array(weight, "w")],
    )
    dense = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 18)])
    sparse = to_sparse(dense, lambda layer: Decision(True, "test")).model
    for model in (dense, sparse):
        report = inspected(model, tmp_path)
        assert [(row.name, row.shares) for row in report.layers] == [("a", ""), ("b", "a"), ("y", "a")]
        assert (report.weights, report.nnz) == (36, 12)
    assert len(to_bytes(sparse).split(np.ones(12, np.float32).tobytes())) == 2


def inspected(model: onnx.ModelProto | bytes, folder: Path) -> FileReport:
    path = folder / "model.onnx"
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    return inspect(path)


def test_any_operators_and_branches_and_image_sizes(foreign: onnx.ModelProto, tmp_path: Path) -> None:
    report = inspected(foreign, tmp_path)
    assert (report.opset, report.sparse_ops) == (18, False)
    assert report.inputs == (("image", ("batch", 3, "height", "?")),)
    assert [(row.name, row.op, row.shape, row.format) for row in report.layers] == [
        ("conv", "Conv", (6, 3, 3, 3), "dense"),
        ("l.W", "LSTM", (1, 8, 5), "dense"),
        ("l.R", "LSTM", (1, 8, 2), "dense"),
        ("outer", "Conv", (6, 3, 3, 3), "dense"),
        ("inner", "MatMul", (4, 4), "dense"),
    ]
    half, recurrent = report.layers[0], report.layers[1]
    assert (half.nnz, half.bytes, half.bytes_dense) == (162, 2 * 168, 4 * 168)
    assert recurrent.bytes == 4 * (40 + 16)  # the biases as well
    assert dict(report.other_ops) == {
        **dict.fromkeys(("Pad", "Slice", "Split", "Resize", "If", "Constant"), 1),
        **dict.fromkeys(("acme:Twice", "com.microsoft:Conv"), 1),
    }


@pytest.mark.parametrize("opsets", [[], [("com.microsoft", 1)]])
def test_no_standard_operator_set(foreign: onnx.ModelProto, tmp_path: Path, opsets: list[tuple[str, int]]) -> None:
    model = onnx.ModelProto.FromString(foreign.SerializeToString())
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(*opset) for opset in opsets)
    assert inspected(model, tmp_path).opset is None


def test_weights_among_the_inputs_are_no_inputs(tiny: onnx.ModelProto, tmp_path: Path) -> None:
    tiny.graph.input.append(helper.make_tensor_value_info("pw.weight", TensorProto.FLOAT, [16, 8, 1, 1]))
    assert [name for name, _ in inspected(tiny, tmp_path).inputs] == ["input"]


@pytest.mark.parametrize("kind", ["BFLOAT16", "FLOAT8E4M3FN", "INT4", "UINT8", "DOUBLE", "COMPLEX64"])
@pytest.mark.parametrize("raw", [True, False])
def test_element_types(graph_model: Callable, tmp_path: Path, kind: str, raw: bool) -> None:
    data_type = TensorProto.DataType.Value(kind)
    dtype = helper.tensor_dtype_to_np_dtype(data_type)
    array = np.array([[1, 0, 2], [0, 0, 3], [1, 0, 0]]).astype(dtype)
    weight = helper.make_tensor("w", data_type, [3, 3], array.ravel())
    if raw:
        weight = numpy_helper.from_array(array, "w")
    model = graph_model([helper.make_node("MatMul", ["x", "w"], ["y"])], {})
    model.graph.initializer.append(weight)
    (row,) = inspected(model, tmp_path).layers
    assert (row.nnz, row.bytes, row.bytes_dense) == (4, {"INT4": 5}.get(kind, 9 * dtype.itemsize), 36)


@pytest.mark.parametrize("weight", [np.float32(1), np.zeros((0, 4), np.float32), np.array(["a"], object)])
def test_what_is_no_weight_is_no_layer(graph_model: Callable, tmp_path: Path, weight: Any) -> None:
    report = inspected(graph_model([helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": weight}), tmp_path)
    assert (report.layers, report.other_ops, report.sparsity) == ((), (("MatMul", 1),), 0.0)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_mutated_files_end_in_a_report_or_a_sentence(
    sparse: onnx.ModelProto, foreign: onnx.ModelProto, tmp_path: Path, mutated: Callable, data: st.DataObject
) -> None:
    model = data.draw(st.sampled_from([sparse, foreign]))
    try:
        report = inspected(mutated(data, model.SerializeToString()), tmp_path)
    except LoadError as error:
        assert str(tmp_path / "model.onnx") in str(error)
    else:
        assert all(0 <= row.nnz <= math.prod(row.shape) for row in report.layers)
        assert 0 <= report.sparsity <= 1
