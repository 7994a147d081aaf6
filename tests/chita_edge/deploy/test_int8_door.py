"""ONNX graphs to int8 and back under their own names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import own_networks
import pytest
import torch
from torch import nn

import exporters
from chita_edge.config import PruneFileConfig
from chita_edge.deploy.int8_door import as_modules
from chita_edge.deploy.int8_file import compress_to_file
from chita_edge.engine.config import PruneConfig
from chita_edge.quantization import UnsupportedNetworkError
from exporters.interpreter import OnnxNetwork
from exporters.prepare import prepare


def test_a_graph_becomes_int8_with_its_own_names(tmp_path: Path) -> None:
    onnx.save(own_networks.as_onnx((8, 8)), tmp_path / "net.onnx")
    own_networks.samples(tmp_path / "data.npz")
    config = PruneFileConfig(dtype="int8", prune=PruneConfig(sparsity=0.5, structure="1x4"))
    made = compress_to_file(str(tmp_path / "net.onnx"), tmp_path / "int8.onnx", config, data=tmp_path / "data.npz")
    assert made.figures.sparsity == pytest.approx(0.5, abs=0.05)
    written = onnx.load(tmp_path / "int8.onnx")
    onnx.checker.check_model(written, full_check=True)
    assert [value.name for value in (*written.graph.input, *written.graph.output)] == ["image", "classes"]
    assert exporters.is_quantised(written)
    x = torch.randn(6, 3, 8, 8)
    (got,) = onnxruntime.InferenceSession(str(tmp_path / "int8.onnx")).run(None, {"image": x.numpy()})
    with torch.no_grad():
        expected = own_networks.Net().eval()(x).numpy()
    assert got.shape == expected.shape
    assert np.corrcoef(got.ravel(), expected.ravel())[0, 1] > 0.5


def test_open_sizes_stay_open_unless_int8_is_asked_for() -> None:
    network = OnnxNetwork(prepare(own_networks.as_onnx()))
    with pytest.raises(UnsupportedNetworkError, match="leaves its input's open"):
        as_modules(network, is_asked=False)
    assert isinstance(as_modules(network), nn.Module)
    plain = own_networks.Net()
    assert as_modules(plain, is_asked=False) is plain
