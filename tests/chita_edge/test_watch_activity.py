"""The embedded activity network is built from what is installed alone, and is as accurate as it is said to be."""

from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import pytest
import torch

import runtimes
from chita_edge import datasets, pipeline
from chita_edge.bundle import verify_bundle
from chita_edge.config import BenchConfig, BuildConfig, ExportConfig
from chita_edge.models import get_model, load_weights


def test_it_is_as_accurate_as_it_is_said_to_be() -> None:
    """docs/watch.md says 84.3 % of the 541 windows of people who were not trained on."""
    entry = get_model("watch-activity")
    network = entry.architecture().eval()
    assert entry.embedded_weights is not None
    load_weights(network, entry.embedded_weights)
    test = datasets.load("watch_activity").test()
    with torch.inference_mode():
        right = int((network(test.images).argmax(1) == test.labels).sum())
    assert len(test) == 541
    assert abs(right - 456) <= 3  # a processor's rounding may move what lies on an edge


def test_it_is_built_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*where: object) -> None:
        raise AssertionError(f"a connection to {where}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    config = BuildConfig(
        model="watch-activity",
        calibration_images=100,
        export=ExportConfig(target="arm64"),
        dtype="float32",
        bench=BenchConfig(samples=50),
    )
    result = pipeline.build(config, tmp_path / "bundle")
    verify_bundle(tmp_path / "bundle")
    assert result.accuracy.dense == pytest.approx(0.843, abs=0.006)
    assert result.accuracy.sparse >= 0.75
    assert result.sparsity == pytest.approx(0.8, abs=0.001)
    formats = {layer.name: layer.format for layer in result.layers}
    assert formats["features.1.0"] == formats["features.2.0"] == "csr"
    session = runtimes.session(tmp_path / "bundle" / "model.onnx")
    (logits,) = session.run(None, {"input": np.zeros((3, 6, 256), np.float32)})
    assert logits.shape == (3, 7)
