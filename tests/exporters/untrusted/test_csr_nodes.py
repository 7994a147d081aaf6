"""Nodes of our domain hold valid CSR of a bounded size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

from exporters import (
    MalformedModelError,
    TooLargeError,
    to_bytes,
)
from exporters.ops import CSR_GEMM


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
