"""Layers as other exporters write them: which are found, and that what becomes of them computes the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import runtimes
from exporters import Decision, ExportedLayer, to_sparse

Array = np.ndarray
RNG = np.random.default_rng(3)
W4 = (RNG.normal(size=(32, 16, 1, 1)) * (RNG.random((32, 16, 1, 1)) < 0.2)).astype(np.float32)
W2 = np.ascontiguousarray(W4.reshape(32, 16))
B = RNG.normal(size=32).astype(np.float32)
IMAGE, ROWS, BLOCK = ([1, 16, 8, 8], [1, 32, 8, 8]), (["n", 16], ["n", 32]), (["n", 5, 16], ["n", 5, 32])


def model(nodes: list[onnx.NodeProto], constants: dict[str, Array], shapes: tuple[list, list]) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shapes[0])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shapes[1])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    made = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 18)])
    onnx.checker.check_model(made)
    return made


def node(op: str, inputs: str, output: str = "y", **attributes: object) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), [output], **attributes)


CONSTANT = helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(W4, "w"))
T = np.ascontiguousarray(W2.T)
FOUND = {
    "a convolution whose weight is a Constant node": ([CONSTANT, node("Conv", "x w b")], {"b": B}, IMAGE),
    "a convolution without a bias": ([node("Conv", "x w")], {"w": W4}, IMAGE),
    "a convolution and an Add of the bias": (
        [node("Conv", "x w", "c"), node("Add", "c b")],
        {"w": W4, "b": B.reshape(32, 1, 1)},
        IMAGE,
    ),
    "a convolution and an Add of a number": (
        [node("Conv", "x w", "c"), node("Add", "b c")],
        {"w": W4, "b": np.float32(2).reshape(())},
        IMAGE,
    ),
    "Gemm of an untransposed weight": ([node("Gemm", "x w b")], {"w": T, "b": B}, ROWS),
    "Gemm without a bias": ([node("Gemm", "x w", transB=1)], {"w": W2}, ROWS),
    "Gemm with a bias of one entry": ([node("Gemm", "x w b", transB=1)], {"w": W2, "b": B[:1]}, ROWS),
    "Gemm with a bias of one row": ([node("Gemm", "x w b", transB=1)], {"w": W2, "b": B[None]}, ROWS),
    "Gemm with a scalar bias": ([node("Gemm", "x w b", transB=1)], {"w": W2, "b": B[0].reshape(())}, ROWS),
    "MatMul": ([node("MatMul", "x w")], {"w": T}, ROWS),
    "MatMul, Add, Relu": (
        [node("MatMul", "x w", "m"), node("Add", "b m", "a"), node("Relu", "a")],
        {"w": T, "b": B},
        ROWS,
    ),
    "MatMul of three dimensions": ([node("MatMul", "x w")], {"w": T}, BLOCK),
    "MatMul and Add of three dimensions, and HardSwish": (
        [node("MatMul", "x w", "m"), node("Add", "m b", "a"), node("HardSwish", "a")],
        {"w": T, "b": B},
        BLOCK,
    ),
}
STAY = {
    "it transposes its input": ([node("Gemm", "x w b", transA=1)], {"w": T, "b": B}, ([16, 3], [3, 32])),
    "its bias is computed by the network, or differs from row to row": (
        [node("Gemm", "x w b", transB=1)],
        {"w": W2, "b": np.ones((3, 1), np.float32)},
        ([3, 16], [3, 32]),
    ),
    "it is a convolution over 3 dimensions, not 1 or 2": (
        [node("Conv", "x w b")],
        {"w": W4[..., None], "b": B},
        ([1, 16, 9, 2, 2], [1, 32, 9, 2, 2]),
    ),
    "its weight has 3 dimensions, as many matrices as samples or heads": (
        [node("MatMul", "x w")],
        {"w": T[None]},
        (["n", 5, 16], ["n", 5, 32]),
    ),
    "it is a transposed convolution whose windows overlap, or are padded": (
        [node("ConvTranspose", "x w", strides=[1, 1])],
        {"w": np.ones((16, 4, 2, 2), np.float32)},
        ([1, 16, 3, 3], [1, 4, 4, 4]),
    ),
    "it is a transposed convolution whose window is not square": (
        [node("ConvTranspose", "x w", strides=[1, 2])],
        {"w": np.ones((16, 4, 1, 2), np.float32)},
        ([1, 16, 3, 3], [1, 4, 3, 6]),
    ),
    "it is a grouped transposed convolution": (
        [node("ConvTranspose", "x w", strides=[2, 2], group=2)],
        {"w": np.ones((16, 4, 2, 2), np.float32)},
        ([1, 16, 3, 3], [1, 8, 6, 6]),
    ),
}
LINE = (RNG.normal(size=(24, 16, 3)) * (RNG.random((24, 16, 3)) < 0.2)).astype(np.float32)
UP = (RNG.normal(size=(16, 6, 2, 2)) * (RNG.random((16, 6, 2, 2)) < 0.2)).astype(np.float32)
CHANGED = {
    "a convolution over one side": (
        [node("Conv", "x w b", pads=[1, 0], strides=[2])],
        {"w": LINE, "b": B[:24]},
        (["n", 16, 20], ["n", 24, 10]),
    ),
    "one of an open length, and a clip": (
        [node("Conv", "x w b", "c", dilations=[2]), node("Relu", "c")],
        {"w": LINE, "b": B[:24]},
        (["n", 16, "l"], ["n", 24, "m"]),
    ),
    "one that is padded by a node, and a bias that is added": (
        [node("Pad", "x p", "z"), node("Conv", "z w", "c"), node("Add", "c b")],
        {"w": LINE, "b": B[:24, None], "p": np.array([0, 0, 2, 0, 0, 1], np.int64)},
        ([2, 16, 20], [2, 24, 21]),
    ),
    "one that keeps the length and adds what it reads": (
        [node("Conv", "x w", "c", auto_pad="SAME_UPPER"), node("Add", "x c", "s"), node("Relu", "s")],
        {"w": LINE[:16]},
        (["n", 16, 20], ["n", 16, 20]),
    ),
    "a transposed convolution of a window": (
        [node("ConvTranspose", "x w b", "c", strides=[2, 2]), node("Relu", "c")],
        {"w": UP, "b": B[:6]},
        (["n", 16, 5, 3], ["n", 6, 10, 6]),
    ),
    "one of open sides": (
        [node("ConvTranspose", "x w", strides=[2, 2])],
        {"w": UP},
        (["n", 16, "h", "w"], ["n", 6, "h2", "w2"]),
    ),
    "a product of open sizes": (
        [node("MatMul", "x w", "m"), node("Add", "m b")],
        {"w": T, "b": B},
        (["n", "m", "l", 16], ["n", "m", "l", 32]),
    ),
    "a product of one open size that is not the first": (
        [node("MatMul", "x w")],
        {"w": T},
        ([2, "m", 16], [2, "m", 32]),
    ),
    "Gemm that scales": ([node("Gemm", "x w b", alpha=0.5, beta=2.0)], {"w": T, "b": B}, ROWS),
    "a convolution of open sides": (
        [node("Conv", "x w b")],
        {"w": W4, "b": B},
        (["n", 16, "h", "w"], ["n", 32, "h", "w"]),
    ),
}


@pytest.mark.parametrize("name", CHANGED)
def test_a_layer_of_another_shape_becomes_sparse_and_computes_the_same(name: str, run_stock: Callable) -> None:
    given = model(*CHANGED[name])
    sparse, report = exported(given)
    onnx.checker.check_model(sparse, full_check=True)
    assert report.format == "csr"
    assert (
        report.shape
        == (CHANGED[name][1]["w"].T if "Gemm" in name or "product" in name else CHANGED[name][1]["w"]).shape
    )
    assert ("its size is open" in report.reason) == ("open" in name)
    assert [
        one.op_type for one in sparse.graph.node if one.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul")
    ] == []
    sides = [{"n": 3, "l": 17, "m": 4, "h": 5, "w": 6}.get(size, size) for size in CHANGED[name][2][0]]
    x = RNG.normal(size=sides).astype(np.float32)
    want, got = (run_stock(one, {"x": x})[0] for one in (given, sparse))
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    kernels = runtimes.session(sparse.SerializeToString()).run(None, {"x": x})[0]
    np.testing.assert_allclose(kernels, want, rtol=1e-4, atol=1e-4)


def test_convolutions_over_one_side_that_follow_each_other_hand_on_what_they_make() -> None:
    nodes = [node("Conv", "x w", "c"), node("Relu", "c", "r"), node("Conv", "r v")]
    given = model(nodes, {"w": LINE, "v": np.ascontiguousarray(LINE.transpose(1, 0, 2))}, ([1, 16, 20], [1, 16, 16]))
    found = to_sparse(given, lambda layer: Decision(True, "test")).model.graph.node
    assert [one.op_type for one in found] == ["Unsqueeze", "CsrConv", "CsrConv", "Squeeze"]


def test_how_many_rows_a_linear_layer_reads_is_told_to_the_kernel() -> None:
    def rows(shapes: tuple[list, list]) -> list[int]:
        made = to_sparse(model([node("MatMul", "x w")], {"w": T}, shapes), lambda layer: Decision(True, "test")).model
        return [one.i for each in made.graph.node for one in each.attribute if one.name == "rows"]

    assert rows(ROWS) == []
    assert rows((["n", 7, 16], ["n", 7, 32])) == [7]
    assert rows(([3, 7, 16], [3, 7, 32])) == [21]
    assert rows((["n", "l", 16], ["n", "l", 32])) == [64]


def exported(given: onnx.ModelProto) -> tuple[onnx.ModelProto, ExportedLayer]:
    sparse = to_sparse(given, lambda layer: Decision(True, "test"))
    (report,) = sparse.layers
    return sparse.model, report


@pytest.mark.parametrize("name", FOUND)
def test_a_layer_in_this_form_becomes_sparse_and_computes_the_same(name: str, run_stock: Callable) -> None:
    given = model(*FOUND[name])
    sparse, report = exported(given)
    onnx.checker.check_model(sparse, full_check=True)
    assert report.format == "csr"
    assert report.nnz == np.count_nonzero(W4)
    assert report.macs == report.nnz * (64 if len(report.shape) == 4 else 5 if "three" in name else 1)
    assert [one.domain for one in sparse.graph.node if one.op_type != "Reshape"] == ["chita.edge"]
    x = RNG.normal(size=[3 if size == "n" else size for size in FOUND[name][2][0]]).astype(np.float32)
    want, got = (run_stock(one, {"x": x})[0] for one in (given, sparse))
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("reason", STAY)
def test_a_layer_in_this_form_stays_and_is_reported_with_the_reason(reason: str) -> None:
    given = model(*STAY[reason])
    sparse, report = exported(given)
    assert sparse == given
    assert (report.format, report.reason) == ("dense", reason)


def test_an_add_that_is_read_twice_is_no_bias() -> None:
    nodes = [node("MatMul", "x w", "m"), node("Add", "m b", "a"), node("Mul", "a m")]
    sparse, report = exported(model(nodes, {"w": T, "b": B}, ROWS))
    assert report.format == "csr"
    assert [one.op_type for one in sparse.graph.node] == ["CsrGemm", "Add", "Mul"]


def test_products_of_activations_are_no_layers() -> None:
    given = model([node("Transpose", "x", "t"), node("MatMul", "x t")], {}, (["n", 16], ["n", "n"]))
    assert to_sparse(given, lambda layer: Decision(True, "test")).layers == ()


def test_two_tensors_of_the_same_weight_are_stored_once(run_stock: Callable) -> None:
    square = np.ascontiguousarray(W4[:16])
    given = model(
        [node("Conv", "x w", "c"), node("Conv", "c v")], {"w": square, "v": square}, ([1, 16, 8, 8], [1, 16, 8, 8])
    )
    sparse = to_sparse(given, lambda layer: Decision(True, "test")).model
    assert [one.op_type for one in sparse.graph.node] == ["CsrConv", "CsrConv"]
    assert [list(one.input)[1:] for one in sparse.graph.node] == [list(sparse.graph.node[0].input)[1:]] * 2
    x = RNG.normal(size=(1, 16, 8, 8)).astype(np.float32)
    want, got = (run_stock(one, {"x": x})[0] for one in (given, sparse))
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_names_that_are_taken_are_left_alone() -> None:
    given = model([node("Conv", "x w", name="c")], {"w": W4}, IMAGE)
    given.graph.output[0].name = given.graph.node[0].output[0] = "c.values"
    sparse, _ = exported(given)
    onnx.checker.check_model(sparse, full_check=True)
    assert [one.name for one in sparse.graph.output] == ["c.values"]


W3 = (RNG.normal(size=(8, 16, 3, 3)) * (RNG.random((8, 16, 3, 3)) < 0.2)).astype(np.float32)
PADDED: dict[str, tuple[list[onnx.NodeProto], dict[str, Array], bool]] = {
    "zeros at all sides": (
        [node("Pad", "x p", "q"), node("Conv", "q w", pads=[1, 0, 0, 1])],
        {"p": np.array([0, 0, 1, 2, 0, 0, 3, 0])},
        True,
    ),
    "zeros at some axes": (
        [node("Pad", "x p f a", "q"), node("Conv", "q w")],
        {"p": np.array([1, 2, 3, 4]), "f": np.float32(0).reshape(()), "a": np.array([-1, 2])},
        True,
    ),
    "a Pad that others read": (
        [node("Pad", "x p", "q"), node("Conv", "q w", "c"), node("Relu", "q", "r"), node("Conv", "r w", "d"),
         node("Add", "c d")],
        {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1])},
        False,
    ),
    "SAME_UPPER": ([node("Conv", "x w", auto_pad="SAME_UPPER", strides=[2, 2])], {}, True),
    "SAME_LOWER": ([node("Conv", "x w", auto_pad="SAME_LOWER", strides=[2, 1])], {}, True),
    "VALID": ([node("Conv", "x w", auto_pad="VALID")], {}, True),
    "a Pad before SAME_UPPER": (
        [node("Pad", "x p", "q"), node("Conv", "q w", auto_pad="SAME_UPPER", strides=[2, 2])],
        {"p": np.array([0, 0, 1, 0, 0, 0, 0, 0])},
        True,
    ),
    "reflected borders": (
        [node("Pad", "x p", "q", mode="reflect"), node("Conv", "q w")],
        {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1])},
        False,
    ),
    "ones": (
        [node("Pad", "x p f", "q"), node("Conv", "q w")],
        {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1]), "f": np.float32(1).reshape(())},
        False,
    ),
    "a cut": ([node("Pad", "x p", "q"), node("Conv", "q w")], {"p": np.array([0, 0, -1, 1, 0, 0, 1, 1])}, False),
}  # fmt: skip


@pytest.mark.parametrize("name", PADDED)
def test_zeros_around_an_image_become_padding_of_the_layer(name: str, run_stock: Callable) -> None:
    nodes, arrays, gone = PADDED[name]
    given = model(nodes, {"w": W3, **arrays}, (["n", 16, 8, 9], ["n", 8, None, None]))
    exported = to_sparse(given, lambda layer: Decision(True, "test"))
    assert {row.format for row in exported.layers} == {"csr"}
    assert gone == (not any(one.op_type == "Pad" for one in exported.model.graph.node))
    x = RNG.normal(size=(2, 16, 8, 9)).astype(np.float32)
    want, got = (run_stock(one, {"x": x})[0] for one in (given, exported.model))
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    ours = runtimes.session(exported.model.SerializeToString()).run(None, {"x": x})[0]
    np.testing.assert_allclose(ours, want, rtol=1e-4, atol=1e-4)
