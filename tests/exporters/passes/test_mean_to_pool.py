"""ReduceMean over (H, W) → GlobalAveragePool."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from exporters.passes import MeanToPool
from exporters.serialize import to_proto

MEAN = "main (float[n, 4, 5, 6] x) => (float[{shape}] y) {{ y = ReduceMean <keepdims = {keepdims}> (x, axes) }}"


@pytest.mark.parametrize("axes", [[2, 3], [3, 2], [-1, -2]])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_the_mean_becomes_a_pool(
    from_text: Callable, rng: np.random.Generator, run_stock: Callable, axes: list[int], keepdims: int
) -> None:
    text = MEAN.format(shape="n, 4, 1, 1" if keepdims else "n, 4", keepdims=keepdims)
    result = MeanToPool()(from_text(text, {"axes": np.array(axes, np.int64)}))
    assert result.modified
    ops = [node.op_type for node in result.model.graph]
    assert ops == (["GlobalAveragePool"] if keepdims else ["GlobalAveragePool", "Flatten"])
    proto = to_proto(result.model)
    onnx.checker.check_model(proto, full_check=True)
    x = rng.normal(size=(2, 4, 5, 6)).astype(np.float32)
    want = x.mean((2, 3), keepdims=bool(keepdims))
    np.testing.assert_allclose(run_stock(proto, {"x": x})[0], want, atol=1e-6)


@pytest.mark.parametrize("axes", [[1, 2], [3], [1, 2, 3]])
def test_other_means_stay(from_text: Callable, axes: list[int]) -> None:
    shape = ", ".join("1" if axis in axes else str(size) for axis, size in enumerate(("n", 4, 5, 6)))
    result = MeanToPool()(from_text(MEAN.format(shape=shape, keepdims=1), {"axes": np.array(axes, np.int64)}))
    assert not result.modified
    assert [node.op_type for node in result.model.graph] == ["ReduceMean"]


def test_a_reshape_that_drops_pooled_dimensions_becomes_flatten(
    from_text: Callable, rng: np.random.Generator, run_stock: Callable
) -> None:
    text = """
    main (float[n, 4, 5, 5] x) => (float[n, 4] y)
    <float[n, 4, 1, 1] p>
    {
      p = GlobalAveragePool (x)
      y = Reshape (p, shape)
    }"""
    result = MeanToPool()(from_text(text, {"shape": np.array([-1, 4], np.int64)}))
    assert [node.op_type for node in result.model.graph] == ["GlobalAveragePool", "Flatten"]
    x = rng.normal(size=(3, 4, 5, 5)).astype(np.float32)
    np.testing.assert_allclose(run_stock(to_proto(result.model), {"x": x})[0], x.mean((2, 3)), atol=1e-6)
