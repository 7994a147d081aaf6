"""The body of the ops with N:M weights means the layer with the weight that the slots stand for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
import sparse_models
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from exporters.ops import OPS, OPSET, nm_constants
from exporters.weights import nm


def model_of(name: str, packed: nm.Nm, bias: np.ndarray, rank: int) -> onnx.ModelProto:
    """One node; X, and a residual where there is one, are its inputs."""
    op, constants = OPS[name], nm_constants(packed) | {"bias": bias}
    window = {"strides": [1, 1], "pads": [1, 1, 1, 1], "dilations": [1, 1]} if rank == 4 else {}
    clip = {"clip_min": -np.inf, "clip_max": np.inf}
    node = helper.make_node(name, op.inputs, ["Y"], domain="chita.edge", m=packed.m, **window, **clip)
    fed = [one for one in op.inputs if one not in constants]
    sides = [None] * (rank - 2)
    graph = helper.make_graph(
        [node],
        "layer",
        [helper.make_tensor_value_info(one, TensorProto.FLOAT, ["n", None, *sides]) for one in fed],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, ["n", len(bias), *sides])],
        [numpy_helper.from_array(array, key) for key, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("chita.edge", 1)]
    return helper.make_model(graph, functions=[op.function], ir_version=10, opset_imports=opsets)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 2), (3, 5), (6, 13)])
def test_bodies_are_the_layer(rng: np.random.Generator, run_stock: Callable, n: int, m: int, half: bool) -> None:
    weight = sparse_models.random_nm(rng, (5, 9, 3, 3), n, m).astype(np.float16).astype(np.float32)
    bias = rng.normal(size=5).astype(np.float32)
    x = rng.normal(size=(2, 9, 5, 6)).astype(np.float32)
    want = torch.conv2d(*map(torch.from_numpy, (x, weight, bias)), padding=1).numpy()
    matrix, row = weight[:, :, 0, 0], x[:, :, 0, 0]
    feeds = {"X": x, "residual": rng.normal(size=want.shape).astype(np.float32)}
    for name, expected in (
        ("NmConv", want),
        ("NmConvAdd", want + feeds["residual"]),
        ("NmGemm", row @ matrix.T + bias),
    ):
        packed = nm.from_dense(matrix if name == "NmGemm" else weight, m)
        model = model_of(name, nm.in_half_precision(packed) if half else packed, bias, expected.ndim)
        onnx.checker.check_model(model, full_check=True)
        own = {value.name: feeds[value.name] for value in model.graph.input}
        if name == "NmGemm":
            own["X"] = row
        got, ops = run_stock(model, own)
        np.testing.assert_allclose(got, expected, atol=1e-5)
        np.testing.assert_allclose(ReferenceEvaluator(model).run(None, own)[0], expected, atol=1e-5)
        assert set(ops) <= {"ReorderInput", "Conv", "ReorderOutput", "Add", "Clip", "Gemm"}
