"""Each op with each activation: its function body in stock ORT and in onnx.reference against the formula."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from exporters.ops import OPS, EdgeOp, op_for

WEIGHTS = {"CsrGemm": (16, 8), "NmGemm": (16, 8), "DepthwiseConv": (8, 1, 1, 1)}
FORMULAS = {
    "hard_swish": lambda z: z * np.clip(z / 6 + 0.5, 0, 1),
    "silu": lambda z: z / (1 + np.exp(-z)),
}


@pytest.mark.parametrize("op", [op for op in OPS.values() if op.activation in FORMULAS], ids=lambda op: op.name)
def test_body_activates_the_sum(
    op: EdgeOp, rng: np.random.Generator, make_weight: Callable, edge_model: Callable, run_stock: Callable
) -> None:
    weight = make_weight(rng, WEIGHTS.get(op.base, (16, 8, 1, 1)), 0.8)
    rows, bias = len(weight), 3 * rng.normal(size=len(weight)).astype(np.float32)
    attributes = {} if op.base.endswith("Gemm") else {"strides": [1, 1], "pads": [0, 0, 0, 0], "dilations": [1, 1]}
    if op.base == "DepthwiseConv":
        attributes["group"] = 8
    if op.is_nm:
        attributes["m"] = 16  # of 8 channels: one group, not full
    shape = ("batch", 8) if op.base.endswith("Gemm") else ("batch", 8, 4, 4)
    feeds = {"X": 3 * rng.normal(size=(2, *shape[1:])).astype(np.float32)}
    if "residual" in op.inputs:
        feeds["residual"] = rng.normal(size=(2, rows, 4, 4)).astype(np.float32)
    flat = weight.reshape(rows, -1)
    if op.base == "DepthwiseConv":
        flat = np.diag(flat[:, 0])
    z = np.einsum("mk,nk...->nm...", flat, feeds["X"]) + bias.reshape(-1, *(1,) * (len(shape) - 2))
    want = FORMULAS[op.activation](z + feeds.get("residual", 0))
    model = edge_model(op, weight, bias, shape, attributes)
    onnx.checker.check_model(model, full_check=True)
    got, ops = run_stock(model, feeds)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(ReferenceEvaluator(model).run(None, feeds)[0], want, rtol=1e-5, atol=1e-5)
    assert "ScatterElements" not in ops


def test_every_op_has_every_activation() -> None:
    ops = [op for op in OPS.values() if op.activation is not None and not op.stages]
    assert all(op_for(op.base, op.activation) is op for op in ops)
    assert len(ops) == 3 * len({op.base for op in ops})
