"""The function body means the linear layer and folds to a plain Gemm."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from exporters.ops import CSR_GEMM

INF = float("inf")


@pytest.mark.parametrize("clip", [(-INF, INF), (0.0, INF)])
@pytest.mark.parametrize("columns", [20, 300])
def test_body_is_the_linear_layer(
    rng: np.random.Generator,
    make_weight: Callable,
    edge_model: Callable,
    run_stock: Callable,
    columns: int,
    clip: tuple[float, float],
) -> None:
    weight = make_weight(rng, (10, columns))
    bias = rng.normal(size=10).astype(np.float32)
    model = edge_model(CSR_GEMM, weight, bias, ["batch", columns], {"clip_min": clip[0], "clip_max": clip[1]})
    onnx.checker.check_model(model, full_check=True)
    x = rng.normal(size=(3, columns)).astype(np.float32)
    want = np.clip(x @ weight.T + bias, *clip)
    got, ops = run_stock(model, {"X": x})
    np.testing.assert_allclose(got, want, atol=1e-4)
    np.testing.assert_allclose(ReferenceEvaluator(model).run(None, {"X": x})[0], want, atol=1e-4)
    assert set(ops) <= {"Gemm", "FusedGemm", "Clip"}
