"""The same options make the same network in `build` and in `prune`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import own_networks
from onnx import numpy_helper

from chita_edge.config import BenchConfig, BuildConfig, ExportConfig
from chita_edge.deploy.weights_file import prune_to_file
from chita_edge.engine.config import PruneConfig
from chita_edge.pipeline import build
from exporters.prepare import prepare


def test_build_and_prune_keep_the_same_weights(tmp_path: Path) -> None:
    onnx.save(own_networks.as_onnx(), tmp_path / "net.onnx")
    own_networks.samples(tmp_path / "data.npz")
    prune = PruneConfig(method="obd", sparsity=0.6, recalibration_views=1)
    config = BuildConfig(
        model=str(tmp_path / "net.onnx"),
        dtype="float32",
        prune=prune,
        export=ExportConfig(target="x86_64"),
        bench=BenchConfig(samples=50),
    )
    built = build(config, tmp_path / "bundle", data=tmp_path / "data.npz")
    alone = prune_to_file(config.model, tmp_path / "sparse.onnx", prune, data=tmp_path / "data.npz")
    assert alone is not None
    assert built.sparsity == alone.figures.sparsity
    assert built.model == alone.model == "net"
    folded = prepare(onnx.load(tmp_path / "sparse.onnx"), fold_batch_norm=True)
    arrays, shipped = (
        {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        for model in (folded, onnx.load(tmp_path / "bundle" / "model.onnx"))
    )
    # So small a network stays dense, and its weights are in the file as they are.
    assert set(arrays) == set(shipped)
    assert all(np.array_equal(array, shipped[name]) for name, array in arrays.items())
