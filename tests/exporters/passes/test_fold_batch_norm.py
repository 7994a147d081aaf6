"""BatchNormalization ∘ Conv → Conv."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest

from exporters.passes import FoldBatchNorm
from exporters.serialize import to_proto

GRAPH = """
main (float[n, 4, 5, 5] x) => (float[n, 6, 3, 3] y) {{
  c = Conv ({conv})
  y = BatchNormalization <epsilon = 0.01> (c, gamma, beta, mean, var)
}}
"""


@pytest.fixture
def model(from_text: Callable, rng: np.random.Generator) -> Callable[[bool], ir.Model]:
    def make(bias: bool) -> ir.Model:
        weight = rng.normal(size=(6, 4, 3, 3))
        weight[0, 0] = 0
        arrays = {"w": weight, "gamma": rng.normal(size=6), "beta": rng.normal(size=6)}
        arrays |= {"mean": rng.normal(size=6), "var": rng.uniform(0.5, 1, 6)}
        if bias:
            arrays["b"] = rng.normal(size=6)
        return from_text(GRAPH.format(conv="x, w, b" if bias else "x, w"), arrays)

    return make


@pytest.mark.parametrize("bias", [False, True])
def test_output_stays_and_the_norm_is_gone(
    model: Callable, rng: np.random.Generator, run_stock: Callable, bias: bool
) -> None:
    before = model(bias)
    x = rng.normal(size=(2, 4, 5, 5)).astype(np.float32)
    want, _ = run_stock(to_proto(before), {"x": x})
    result = FoldBatchNorm()(before)
    assert result.modified
    assert [node.op_type for node in result.model.graph] == ["Conv"]
    np.testing.assert_allclose(run_stock(to_proto(result.model), {"x": x})[0], want, rtol=1e-4, atol=1e-5)


def test_zeros_stay_zeros(model: Callable) -> None:
    result = FoldBatchNorm()(model(True))
    (node,) = result.model.graph
    weight = node.inputs[1].const_value.numpy()
    assert not weight[0, 0].any()
    assert np.count_nonzero(weight) == weight.size - 9


def test_layers_without_bias_get_zeros(from_text: Callable, rng: np.random.Generator) -> None:
    text = """
    main (float[n, 4, 1, 1] x) => (float[n, 3] y) {
      c = Conv (x, w)
      f = Flatten (c)
      y = Gemm <transB = 1> (f, v)
    }"""
    result = FoldBatchNorm()(from_text(text, {"w": rng.normal(size=(6, 4, 1, 1)), "v": rng.normal(size=(3, 6))}))
    biases = [node.inputs[2].const_value.numpy() for node in result.model.graph if node.op_type != "Flatten"]
    assert [bias.shape for bias in biases] == [(6,), (3,)]
    assert not np.concatenate(biases).any()
    assert not FoldBatchNorm()(result.model).modified


def test_a_norm_after_something_else_stays(from_text: Callable, rng: np.random.Generator) -> None:
    text = """
    main (float[n, 4, 5, 5] x) => (float[n, 4, 5, 5] y) {
      r = Relu (x)
      y = BatchNormalization (r, gamma, beta, mean, var)
    }"""
    arrays = {name: rng.uniform(0.5, 1, 4) for name in ("gamma", "beta", "mean", "var")}
    result = FoldBatchNorm()(from_text(text, arrays))
    assert not result.modified
    assert [node.op_type for node in result.model.graph] == ["Relu", "BatchNormalization"]
