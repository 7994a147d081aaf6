"""Dense ONNX → the one file."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from exporters import Decision, NonFiniteWeightsError, SparsifyCandidate, UnsupportedModelError, to_bytes, to_sparse


def always(info: SparsifyCandidate) -> Decision:
    return Decision(sparse=True, reason=f"{info.sparsity:.0%} zeros")


def never(info: SparsifyCandidate) -> Decision:
    return Decision(sparse=False, reason="too few zeros")


def ops(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def test_every_layer_becomes_its_op(tiny: onnx.ModelProto, rng: np.random.Generator, run_stock: Callable) -> None:
    sparse = to_sparse(tiny, always)
    assert ops(sparse.model) == ["DenseConv", "DepthwiseConv", "CsrConv", "GlobalAveragePool", "Flatten", "CsrGemm"]
    assert [function.name for function in sparse.model.functions] == [
        "CsrConv",
        "CsrGemm",
        "DenseConv",
        "DepthwiseConv",
        "GlobalAveragePool",
    ]
    onnx.checker.check_model(sparse.model, full_check=True)
    x = rng.normal(size=(2, 1, 8, 8)).astype(np.float32)
    want, _ = run_stock(tiny, {"input": x})
    got, optimised = run_stock(sparse.model, {"input": x})
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(ReferenceEvaluator(sparse.model).run(None, {"input": x})[0], want, rtol=1e-5, atol=1e-5)
    assert "ScatterElements" not in optimised


def test_layers_are_described_and_reported(tiny: onnx.ModelProto) -> None:
    asked: list[SparsifyCandidate] = []
    sparse = to_sparse(tiny, lambda info: (asked.append(info), always(info))[1])
    pw = next(numpy_helper.to_array(tensor) for tensor in tiny.graph.initializer if tensor.name == "pw.weight")
    nnz = int(np.count_nonzero(pw))
    assert asked[0] == SparsifyCandidate("pw", "CsrConv", 16, 8, (1, 1), (1, 1), 16, nnz, 1 - nnz / 128)
    assert [(info.name, info.op, info.out_pixels) for info in asked] == [("pw", "CsrConv", 16), ("fc", "CsrGemm", 1)]
    rows = {row.name: row for row in sparse.layers}
    assert list(rows) == ["stem", "dw", "pw", "fc"]
    assert [row.format for row in sparse.layers] == ["dense", "depthwise", "csr", "csr"]
    assert (rows["pw"].macs_dense, rows["pw"].macs) == (128 * 16, nnz * 16)
    assert rows["pw"].bytes_dense == 128 * 4 + 16 * 4
    assert rows["pw"].bytes == nnz * 5 + 17 * 4 + 4 * 8 + 16 * 4
    assert "zeros" in rows["pw"].reason


def test_bytes_reported_are_bytes_stored(tiny: onnx.ModelProto) -> None:
    sparse = to_sparse(tiny, always)
    stored = sum(numpy_helper.to_array(tensor).nbytes for tensor in sparse.model.graph.initializer)
    assert stored == sum(row.bytes for row in sparse.layers)


def test_a_network_that_stays_dense_is_left_alone(tiny: onnx.ModelProto) -> None:
    before = to_bytes(tiny)
    sparse = to_sparse(tiny, never)
    assert to_bytes(sparse.model) == before
    assert all(row.format in ("dense", "depthwise") and row.bytes == row.bytes_dense for row in sparse.layers)
    assert all("too few zeros" in row.reason for row in sparse.layers if row.name in ("pw", "fc"))


def test_a_sparse_classifier_alone_changes_nothing(tiny: onnx.ModelProto) -> None:
    sparse = to_sparse(tiny, lambda info: always(info) if info.op == "CsrGemm" else never(info))
    assert ops(sparse.model) == ops(tiny)
    assert "standard ONNX" in sparse.layers[-1].reason


def test_a_dense_decision_is_recorded_with_its_reason(tiny: onnx.ModelProto) -> None:
    sparse = to_sparse(tiny, lambda info: never(info) if info.op == "CsrGemm" else always(info))
    assert ops(sparse.model)[-1] == "Gemm"
    assert (sparse.layers[-1].op, sparse.layers[-1].reason) == ("Gemm", "too few zeros")


def test_the_input_is_left_as_it_was(tiny: onnx.ModelProto) -> None:
    before = to_bytes(tiny)
    to_sparse(tiny, always)
    assert to_bytes(tiny) == before


def test_same_weights_same_bytes(tiny: onnx.ModelProto) -> None:
    assert to_bytes(to_sparse(tiny, always).model) == to_bytes(to_sparse(tiny, always).model)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["stem.weight", "pw.weight", "fc.bias"])
def test_weights_that_are_not_finite_are_refused(tiny: onnx.ModelProto, name: str, value: float) -> None:
    tensor = next(tensor for tensor in tiny.graph.initializer if tensor.name == name)
    array = numpy_helper.to_array(tensor).copy()
    array.flat[1] = value
    tensor.CopyFrom(numpy_helper.from_array(array, name))
    with pytest.raises(NonFiniteWeightsError, match=f"Layer {name.split('.')[0]}: 1 of"):
        to_sparse(tiny, always)


def test_other_types_are_refused(tiny: onnx.ModelProto) -> None:
    tensor = next(tensor for tensor in tiny.graph.initializer if tensor.name == "pw.weight")
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), "pw.weight"))
    with pytest.raises(UnsupportedModelError, match=r"Layer pw .*float64"):
        to_sparse(tiny, always)


def test_arithmetic_in_half_precision_is_a_hint_that_stock_runtimes_pass_over(
    tiny: onnx.ModelProto, rng: np.random.Generator, run_stock: Callable
) -> None:
    plain, hinted = to_sparse(tiny, always, "float16"), to_sparse(tiny, always, "float16", compute_dtype="float16")
    onnx.checker.check_model(hinted.model, full_check=True)
    flags = {node.op_type: [one.i for one in node.attribute if one.name == "float16_arithmetic"]
             for node in hinted.model.graph.node}  # fmt: skip
    assert {op: given for op, given in flags.items() if given} == {"CsrConv": [1]}
    x = rng.normal(size=(2, 1, 8, 8)).astype(np.float32)
    got, want = (run_stock(one.model, {"input": x})[0] for one in (hinted, plain))
    np.testing.assert_array_equal(got, want)
    assert to_bytes(to_sparse(tiny, always, compute_dtype="float16").model) == to_bytes(to_sparse(tiny, always).model)


def test_values_in_half_precision(tiny: onnx.ModelProto, rng: np.random.Generator, run_stock: Callable) -> None:
    exact, half = to_sparse(tiny, always), to_sparse(tiny, always, "float16")
    x = rng.normal(size=(2, 1, 8, 8)).astype(np.float32)
    onnx.checker.check_model(half.model, full_check=True)
    for whole, halved in zip(exact.layers, half.layers, strict=True):
        assert halved.bytes == whole.bytes - (2 * whole.nnz if whole.format.startswith("csr") else 0)
    got, optimised = run_stock(half.model, {"input": x})
    assert "Cast" not in optimised
    want, _ = run_stock(exact.model, {"input": x})
    np.testing.assert_allclose(got, want, rtol=1e-2, atol=1e-2 * np.abs(want).max())
    assert np.any(got != want)
    np.testing.assert_allclose(ReferenceEvaluator(half.model).run(None, {"input": x})[0], got, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda weight: np.where(weight == weight.max(), 1e5, weight), "beyond the largest number of float16"),
        (lambda weight: weight * 1e-6, "(underflow)"),
        (lambda weight: np.where(weight.any(1).cumsum()[:, None] == 1, weight * 1e-8, weight), "(underflow)"),
        (lambda weight: np.where(weight.any(0).cumsum() == 1, weight * 1e-8, weight), "(underflow)"),
    ],
    ids=["too large", "too small", "one output", "one input"],
)
def test_a_weight_that_half_precision_would_change_keeps_its_layer_in_float32(
    tiny: onnx.ModelProto, change: Callable, why: str, rng: np.random.Generator, run_stock: Callable
) -> None:
    name = next(node.input[1] for node in tiny.graph.node if node.op_type == "Gemm")
    tensor = next(one for one in tiny.graph.initializer if one.name == name)
    weight = change(numpy_helper.to_array(tensor)).astype(np.float32)
    tensor.CopyFrom(numpy_helper.from_array(weight, name))
    exported = to_sparse(tiny, always, "float16")
    kinds = {one.name: one.data_type for one in exported.model.graph.initializer if one.name.endswith(".values")}
    assert sorted(kinds.values()) == [onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16]
    assert [why in row.reason for row in exported.layers] == [False, False, False, True]
    assert exported.layers[-1].bytes == to_sparse(tiny, always).layers[-1].bytes
    x = rng.normal(size=(2, 1, 8, 8)).astype(np.float32)
    got, want = (run_stock(model, {"input": x})[0] for model in (exported.model, tiny))
    np.testing.assert_allclose(got, want, atol=1e-2 * np.abs(want).max())
