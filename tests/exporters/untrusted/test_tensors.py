"""A tensor is as large as its bytes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from exporters import (
    MalformedModelError,
    UnsupportedOpError,
    to_bytes,
)


def test_a_tensor_without_its_bytes_is_refused(refuse: Callable, graph_model: Callable) -> None:
    model = graph_model([helper.make_node("Identity", ["w"], ["y"])], {})
    model.graph.initializer.append(TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2**29]))
    sentence = refuse(model, MalformedModelError)
    assert "2147483648 bytes" in sentence
    assert len(to_bytes(model)) < 130


def test_sparse_initializers_are_refused(refuse: Callable, graph_model: Callable) -> None:
    model = graph_model([helper.make_node("Identity", ["w"], ["y"])], {})
    values = numpy_helper.from_array(np.ones(1, np.float32), "w")
    indices = numpy_helper.from_array(np.zeros(1, np.int64), "i")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [2**29]))
    assert "'w' is a sparse_initializer" in refuse(model, UnsupportedOpError)
