"""The body of the ops in blocks means the convolution with the weight that the blocks stand for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from exporters.ops import OPS, OPSET, csr_constants
from exporters.weights import csr


def in_blocks(rng: np.random.Generator, shape: tuple[int, ...], block_rows: int, density: float) -> np.ndarray:
    kept = np.repeat(rng.random((shape[0] // block_rows, *shape[1:])) < density, block_rows, axis=0)
    return np.where(kept, rng.normal(size=shape), 0).astype(np.float32)


def model_of(name: str, weight: np.ndarray, bias: np.ndarray, block_rows: int, half: bool) -> onnx.ModelProto:
    """One node; X, and a residual where there is one, are its inputs."""
    op, stored = OPS[name], csr.from_dense(weight, block_rows)
    constants = csr_constants(csr.in_half_precision(stored) if half else stored) | {"bias": bias}
    window = {"strides": [1, 1], "pads": [1, 1, 1, 1], "dilations": [1, 1], "clip_min": -np.inf, "clip_max": np.inf}
    node = helper.make_node(name, op.inputs, ["Y"], domain="chita.edge", **window)
    fed = [one for one in op.inputs if one not in constants]
    graph = helper.make_graph(
        [node],
        "layer",
        [helper.make_tensor_value_info(one, TensorProto.FLOAT, ["n", None, None, None]) for one in fed],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, ["n", len(weight), None, None])],
        [numpy_helper.from_array(array, key) for key, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("chita.edge", 1)]
    return helper.make_model(graph, functions=[op.function], ir_version=10, opset_imports=opsets)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize(("rows", "block_rows", "density"), [(8, 2, 0.5), (8, 4, 0.3), (4, 4, 1.0), (4, 2, 0.0)])
def test_bodies_are_the_convolution(
    rng: np.random.Generator, run_stock: Callable, rows: int, block_rows: int, density: float, half: bool
) -> None:
    weight = in_blocks(rng, (rows, 3, 3, 3), block_rows, density)
    weight = weight.astype(np.float16).astype(np.float32) if half else weight
    bias = rng.normal(size=rows).astype(np.float32)
    x = rng.normal(size=(2, 3, 5, 6)).astype(np.float32)
    want = torch.conv2d(*map(torch.from_numpy, (x, weight, bias)), padding=1).numpy()
    feeds = {"X": x, "residual": rng.normal(size=want.shape).astype(np.float32)}
    for name, expected in (("BlockCsrConv", want), ("BlockCsrConvAdd", want + feeds["residual"])):
        model = model_of(name, weight, bias, block_rows, half)
        onnx.checker.check_model(model, full_check=True)
        own = {value.name: feeds[value.name] for value in model.graph.input}
        got, ops = run_stock(model, own)
        np.testing.assert_allclose(got, expected, atol=1e-5)
        np.testing.assert_allclose(ReferenceEvaluator(model).run(None, own)[0], expected, atol=1e-5)
        assert set(ops) <= {"ReorderInput", "Conv", "ReorderOutput", "Add", "Clip"}
