"""The main job with whole filters: the bundle's network is smaller for real."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import tiny_network

import chita_edge
import exporters
import runtimes
from chita_edge.config import BenchConfig, BuildConfig, ExportConfig
from chita_edge.deploy.load import load_inputs
from chita_edge.engine.config import PruneConfig


def test_filters_are_removed_and_the_file_is_plain_onnx(tiny: tuple[Path, Path], tmp_path: Path) -> None:
    weights, data = tiny
    config = BuildConfig(
        model=tiny_network.NAME,
        calibration_images=40,
        prune=PruneConfig(structure="filter", sparsity=0.5, method="obd"),
        export=ExportConfig(target="arm64"),
        bench=BenchConfig(samples=50),
    )
    result = chita_edge.build(config, tmp_path / "bundle", weights=weights, data=data)
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


def test_blocks_go_all_the_way_with_values_in_half_precision(tiny: tuple[Path, Path], tmp_path: Path) -> None:
    weights, data = tiny
    config = BuildConfig(
        model=tiny_network.NAME,
        calibration_images=40,
        prune=PruneConfig(structure="4x1", sparsity=0.8, method="magnitude"),
        export=ExportConfig(target="x86_64", values="float16"),
        bench=BenchConfig(samples=50),
    )
    result = chita_edge.build(config, tmp_path / "bundle", weights=weights, data=data)
    written = [layer for layer in result.layers if layer.format == "csr 4x1"]
    assert written
    assert all(layer.op.startswith("BlockCsrConv") for layer in written)
    model = exporters.load(result.bundle / "model.onnx")
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for layer in written:
        assert tensors[f"{layer.name}.values"].data_type == onnx.TensorProto.FLOAT16
        assert tensors[f"{layer.name}.values"].dims[1] == 4
    # 2 bytes and a quarter of a column number a weight, where CSR has 5 to 6.
    stored = sum(layer.bytes.sparse for layer in written)
    biases = sum(4 * layer.shape[0] for layer in written)
    assert stored - biases < 3 * sum(layer.nnz for layer in written)
    assert 1e-6 < max(result.agreement.values()) <= 2e-2
    judged = load_inputs(tiny_network.ENTRY, weights=weights, data=data, calibration_images=40, seed=0).validation
    assert judged is not None
    (answers,) = runtimes.session(result.bundle / "model.onnx").run(None, {"input": judged.images.numpy()})
    assert result.accuracy.sparse == (np.argmax(answers, 1) == judged.labels.numpy()).mean()
    assert result.latency.p50.sparse > 0
    manifest = json.loads((result.bundle / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["config"]["export"]["values"] == "float16"
