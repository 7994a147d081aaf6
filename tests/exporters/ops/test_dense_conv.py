"""The function body means the convolution and is inlined to a plain one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import torch
from onnx.reference import ReferenceEvaluator

from exporters.ops import DENSE_CONV


def test_body_is_the_convolution(rng: np.random.Generator, edge_model: Callable, run_stock: Callable) -> None:
    weight = rng.normal(size=(16, 3, 3, 3)).astype(np.float32)
    bias = rng.normal(size=16).astype(np.float32)
    attributes = {"strides": [2, 2], "pads": [1, 1, 1, 1], "dilations": [1, 1], "clip_min": 0.0, "clip_max": 6.0}
    model = edge_model(DENSE_CONV, weight, bias, ["batch", 3, 9, 9], attributes)
    onnx.checker.check_model(model, full_check=True)
    x = rng.normal(size=(2, 3, 9, 9)).astype(np.float32)
    want = torch.conv2d(*map(torch.from_numpy, (x, weight, bias)), 2, 1).clamp(0, 6).numpy()
    got, ops = run_stock(model, {"X": x})
    np.testing.assert_allclose(got, want, atol=1e-5)
    np.testing.assert_allclose(ReferenceEvaluator(model).run(None, {"X": x})[0], want, atol=1e-5)
    assert set(ops) <= {"ReorderInput", "Conv", "ReorderOutput"}
