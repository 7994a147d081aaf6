"""The main job with whole filters: the bundle's network is smaller for real."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

import chita_edge
import exporters
import runtimes
from chita_edge import datasets
from chita_edge.config import BuildConfig


def test_filters_are_removed_and_the_file_is_plain_onnx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = datasets.load("fashion_mnist")
    data = replace(data, test_images=data.test_images[:100], test_labels=data.test_labels[:100])
    monkeypatch.setattr(datasets, "load", lambda _: data)
    config = BuildConfig(
        model="mobilenet",
        target="arm64",
        structure="filter",
        sparsity=0.5,
        method="obd",
        calibration_images=40,
        samples=50,
    )
    result = chita_edge.build(config, tmp_path / "bundle")
    model = exporters.load(result.bundle / "model.onnx")
    assert {node.domain for node in model.graph.node} == {""}
    onnx.checker.check_model(model, full_check=True)
    assert result.size_bytes.sparse < 0.6 * result.size_bytes.dense
    macs = [sum(getattr(layer.macs, name) for layer in result.layers) for name in ("dense", "sparse")]
    assert macs[1] < 0.7 * macs[0]
    assert 0.4999 <= result.sparsity < 0.55
    assert all(np.less_equal(layer.shape, layer.dense_shape).all() for layer in result.layers)
    assert result.layers[-1].shape[0] == result.layers[-1].dense_shape[0] == 10
    assert any("filters and" in layer.reason for layer in result.layers)
    assert all(difference <= 1e-4 for difference in result.agreement.values())
    assert runtimes.dense_session(result.bundle / "model.onnx").get_outputs()[0].shape[1] == 10
