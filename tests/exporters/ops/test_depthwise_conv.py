"""The function body means one kernel a channel and is inlined to a plain convolution."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from exporters.ops import DEPTHWISE_CONV


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_body_is_depthwise(
    rng: np.random.Generator, edge_model: Callable, run_stock: Callable, kernel: int, stride: int
) -> None:
    weight = rng.normal(size=(8, 1, kernel, kernel)).astype(np.float32)
    bias = rng.normal(size=8).astype(np.float32)
    attributes = {"strides": [stride] * 2, "pads": [kernel // 2] * 4, "dilations": [1, 1], "group": 8}
    model = edge_model(DEPTHWISE_CONV, weight, bias, ["batch", 8, 9, 9], {**attributes, "clip_min": 0.0})
    onnx.checker.check_model(model, full_check=True)
    x = rng.normal(size=(2, 8, 9, 9)).astype(np.float32)
    want = torch.conv2d(*map(torch.from_numpy, (x, weight, bias)), stride, kernel // 2, 1, 8).clamp(0).numpy()
    got, ops = run_stock(model, {"X": x})
    np.testing.assert_allclose(got, want, atol=1e-5)
    np.testing.assert_allclose(ReferenceEvaluator(model).run(None, {"X": x})[0], want, atol=1e-5)
    assert set(ops) <= {"ReorderInput", "Conv", "ReorderOutput"}
