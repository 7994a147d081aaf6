"""Runs of quantised models in stock ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from stock import outputs_of

from exporters import QuantisedDecision, SparseModel, to_sparse_int8
from exporters.ops import DOMAIN


@pytest.fixture
def converted() -> Callable[..., tuple[list[str], SparseModel]]:
    """Convert a model with dense weights; the texts of its nodes of ours. What it computes is what it did."""

    def convert(model: onnx.ModelProto, steps: int = 0, **feeds: Any) -> tuple[list[str], SparseModel]:
        made = to_sparse_int8(model, lambda _: QuantisedDecision("dense", "asked for"))
        onnx.checker.check_model(made.model, full_check=True)
        if not feeds:
            shape = [max(2, dim.dim_value) for dim in model.graph.input[0].type.tensor_type.shape.dim]
            feeds = {"input": np.random.default_rng(0).normal(size=shape).astype(np.float32)}
        for want, got in zip(outputs_of(model, feeds), outputs_of(made.model, feeds), strict=True):
            assert len(np.unique(want)) > 2
            if steps:  # ONNX Runtime itself does not fuse the original
                assert float(np.abs(want.astype(np.float64) - got).max()) <= steps * 12 / 255
            else:
                np.testing.assert_array_equal(got, want)
        return [node.overload for node in made.model.graph.node if node.domain == DOMAIN], made

    return convert


@pytest.fixture
def refused() -> Callable[[onnx.ModelProto], dict[str, str]]:
    """Convert a model; the reasons of the layers that stay standard ONNX, by name."""

    def convert(model: onnx.ModelProto) -> dict[str, str]:
        made = to_sparse_int8(model)
        return {layer.name: layer.reason for layer in made.layers if not layer.op.startswith("Q")}

    return convert
