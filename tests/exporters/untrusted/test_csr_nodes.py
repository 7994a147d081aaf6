"""Nodes of our domain hold valid CSR of a bounded size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

from exporters import Decision, MalformedModelError, TooLargeError, UnsupportedOpError, to_bytes, to_sparse
from exporters.ops import CSR_GEMM, find_op


def test_a_weight_that_densifies_to_gigabytes_is_refused(
    refuse: Callable, edge_model: Callable, replace: Callable
) -> None:
    columns = 2**22
    weight, bias = np.zeros((64, 4), np.float32), np.zeros(64, np.float32)
    model = edge_model(CSR_GEMM, weight, bias, ["batch", columns], {})
    replace(model, "layer.weight_shape", [64, columns], np.int64)
    assert "densified" in refuse(model, TooLargeError)
    assert len(to_bytes(model)) < 4096


CSR_ATTACKS = [
    ("pw.row_ptr", [0] * 16, np.int32, "row_ptr"),
    ("pw.row_ptr", [1] * 17, np.int32, "row_ptr"),
    ("pw.row_ptr", [0] * 17, np.int64, "types"),
    ("pw.col_idx", [0], np.uint8, "column indices"),
    ("pw.values", [0], np.int32, "types"),
    ("pw.weight_shape", [16, 8, 1], np.int64, "weight_shape"),
    ("pw.weight_shape", [16, 8, 1, 1], np.int32, "weight_shape"),
    ("pw.bias", [0] * 15, np.float32, "bias"),
    ("dw.W", np.zeros((8, 2, 3, 3)), np.float32, "dw"),
    ("stem.W", np.zeros((8, 3, 3)), np.float32, "stem.W"),
]


@pytest.mark.parametrize(("name", "values", "dtype", "message"), CSR_ATTACKS)
def test_weights_that_are_not_csr_are_refused(
    refuse: Callable, sparse: onnx.ModelProto, replace: Callable, name: str, values: Any, dtype: Any, message: str
) -> None:
    replace(sparse, name, values, dtype)
    assert message in refuse(sparse, MalformedModelError)


@pytest.mark.parametrize("shape", [[0, 8, 1, 1], [-16, 8, 1, 1], [2**62, 2**62, 1, 1], [16, 2**31, 2**31, 2]])
def test_dimensions_that_overflow_are_refused(
    refuse: Callable, sparse: onnx.ModelProto, replace: Callable, shape: list[int]
) -> None:
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


STAGES = "DenseConv:0 DepthwiseConv:1 CsrConv:2"


def merged(tiny: onnx.ModelProto) -> onnx.ModelProto:
    model = to_sparse(tiny, lambda _: Decision(sparse=True, reason="test"), cache_bytes=1 << 20).model
    assert [node.overload for node in model.graph.node if node.op_type == "ConvSequence"] == [STAGES]
    return model


@pytest.mark.parametrize("text", ["", "CsrConv:1", f"{STAGES} CsrConv:3", STAGES.replace(":2", ":1")])
def test_a_sequence_whose_stages_are_not_its_functions(tiny: onnx.ModelProto, refuse: Callable, text: str) -> None:
    """What the kernel reads is the attribute, what other runtimes read is the function."""
    model = merged(tiny)
    for attribute in (one for node in model.graph.node for one in node.attribute if one.name == "stages"):
        attribute.s = text.encode()
    assert "stages of node" in refuse(model, MalformedModelError)


def test_a_sequence_of_a_meaningless_text(tiny: onnx.ModelProto, refuse: Callable) -> None:
    model = merged(tiny)
    for holder in (*model.graph.node, *model.functions):
        holder.overload = "CsrConv:7" if holder.overload else ""
    assert "which chita.edge does not have" in refuse(model, UnsupportedOpError)


def test_a_stage_whose_input_has_other_channels(tiny: onnx.ModelProto, refuse: Callable) -> None:
    model = merged(tiny)
    text = STAGES.replace("CsrConv:2", "CsrConv:0")
    for node in model.graph.node:
        if node.overload:
            node.overload = text
            next(one for one in node.attribute if one.name == "stages").s = text.encode()
    kept = [function for function in model.functions if function.name != "ConvSequence"]
    del model.functions[:]
    model.functions.extend([*kept, find_op("ConvSequence", text).function])  # type: ignore[union-attr]
    assert "and an input of shape" in refuse(model, MalformedModelError)


def test_two_bodies_of_one_name(tiny: onnx.ModelProto, refuse: Callable) -> None:
    """Overloads are legal ONNX, but many readers take the last one for all."""
    model = merged(tiny)
    text = STAGES.replace("CsrConv:2", "CsrConv:0")
    model.functions.append(find_op("ConvSequence", text).function)  # type: ignore[union-attr]
    assert "it defines a function twice" in refuse(model, MalformedModelError)
