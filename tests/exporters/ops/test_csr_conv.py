"""The function body means the convolution, in ORT and in onnx.reference, and folds to a plain one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from exporters.ops import CSR_CONV

INF = float("inf")


@pytest.mark.parametrize("clip", [(-INF, INF), (0.0, INF), (0.0, 6.0), (-1.0, 1.0)])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation"), [(1, 1, 0, 1), (1, 2, 0, 1), (3, 1, 1, 1), (3, 2, 1, 1), (3, 1, 2, 2)]
)
def test_body_is_the_convolution(
    rng: np.random.Generator,
    make_weight: Callable,
    edge_model: Callable,
    run_stock: Callable,
    kernel: int,
    stride: int,
    padding: int,
    dilation: int,
    clip: tuple[float, float],
) -> None:
    weight = make_weight(rng, (16, 8, kernel, kernel))
    bias = rng.normal(size=16).astype(np.float32)
    attributes = {"strides": [stride] * 2, "pads": [padding] * 4, "dilations": [dilation] * 2}
    attributes |= {"clip_min": clip[0], "clip_max": clip[1]}
    model = edge_model(CSR_CONV, weight, bias, ["batch", 8, 9, 9], attributes)
    onnx.checker.check_model(model, full_check=True)
    x = rng.normal(size=(2, 8, 9, 9)).astype(np.float32)
    want = torch.conv2d(*map(torch.from_numpy, (x, weight, bias)), stride, padding, dilation).clamp(*clip).numpy()
    got, ops = run_stock(model, {"X": x})
    np.testing.assert_allclose(got, want, atol=1e-5)
    np.testing.assert_allclose(ReferenceEvaluator(model).run(None, {"X": x})[0], want, atol=1e-5)
    assert set(ops) <= {"ReorderInput", "Conv", "ReorderOutput"}


@pytest.mark.parametrize("index_dtype", [np.uint8, np.uint16, np.int32])
@pytest.mark.parametrize(("rows", "density"), [(1, 0.5), (1, 0.0), (5, 0.0), (5, 1.0), (2, 0.1)])
def test_body_takes_every_index_type_and_any_rows(
    rng: np.random.Generator,
    make_weight: Callable,
    edge_model: Callable,
    run_stock: Callable,
    rows: int,
    density: float,
    index_dtype: type,
) -> None:
    weight = make_weight(rng, (rows, 6, 1, 1), density)
    bias = rng.normal(size=rows).astype(np.float32)
    point = {"strides": [1, 1], "pads": [0, 0, 0, 0], "dilations": [1, 1]}
    model = edge_model(CSR_CONV, weight, bias, ["batch", 6, 3, 3], point, index_dtype)
    onnx.checker.check_model(model, full_check=True)
    x = rng.normal(size=(1, 6, 3, 3)).astype(np.float32)
    want = np.einsum("mk,nkhw->nmhw", weight[:, :, 0, 0], x) + bias[:, None, None]
    np.testing.assert_allclose(run_stock(model, {"X": x})[0], want, atol=1e-5)
    np.testing.assert_allclose(ReferenceEvaluator(model).run(None, {"X": x})[0], want, atol=1e-5)
