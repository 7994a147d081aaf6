"""The residual is added before the clip."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from exporters.ops import CSR_CONV_ADD


def test_body_adds_before_it_clips(
    rng: np.random.Generator, make_weight: Callable, edge_model: Callable, run_stock: Callable
) -> None:
    weight = make_weight(rng, (16, 8, 1, 1))
    bias = rng.normal(size=16).astype(np.float32)
    attributes = {"strides": [1, 1], "pads": [0, 0, 0, 0], "dilations": [1, 1], "clip_min": 0.0, "clip_max": 6.0}
    model = edge_model(CSR_CONV_ADD, weight, bias, ["batch", 8, 4, 4], attributes)
    onnx.checker.check_model(model, full_check=True)
    feeds = {
        "X": rng.normal(size=(2, 8, 4, 4)).astype(np.float32),
        "residual": rng.normal(size=(2, 16, 4, 4)).astype(np.float32),
    }
    product = np.einsum("mk,nkhw->nmhw", weight[:, :, 0, 0], feeds["X"]) + bias[:, None, None]
    want = np.clip(product + feeds["residual"], 0, 6)
    got, ops = run_stock(model, feeds)
    np.testing.assert_allclose(got, want, atol=1e-5)
    np.testing.assert_allclose(ReferenceEvaluator(model).run(None, feeds)[0], want, atol=1e-5)
    assert "ScatterElements" not in ops
