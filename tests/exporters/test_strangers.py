"""Networks of kinds that users bring, sparse: four ways of running the file agree, and so do two processors.

Five of them by default, as torch takes long to export one; all with CHITA_EDGE_WHOLE_SUITE=1.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from strangers import STRANGERS, stranger

import exporters
import runtimes
from device_bench.emulation import EmulationUnavailableError, emulator, run_model

TOLERANCE = 1e-4
ON_REFERENCE = ("wake word, head", "sensor", "two inputs", "unrolled", "super-resolution", "tokens")
"""Those that onnx.reference, which is slow, runs within a second."""
BY_DEFAULT = ("wake word, head", "sensor", "segmentation", "two inputs", "tokens")
ALL = os.environ.get("CHITA_EDGE_WHOLE_SUITE") == "1"
ON_ARM64 = ("wake word, head", "sensor", "segmentation")


@functools.cache
def exported(name: str) -> tuple[torch.nn.Module, tuple[torch.Tensor, ...], exporters.SparseModel]:
    network, inputs = stranger(name)
    dense = exporters.to_onnx(network, inputs if len(inputs) > 1 else inputs[0])
    sparse = exporters.to_sparse(
        dense, lambda layer: exporters.Decision(layer.sparsity > 0.5, "mostly zeros"), cache_bytes=1 << 20
    )
    return network, inputs, sparse


@pytest.mark.parametrize("name", STRANGERS if ALL else BY_DEFAULT)
def test_four_ways_of_running_the_file_agree(name: str, tmp_path: Path) -> None:
    network, inputs, sparse = exported(name)
    assert any(row.format.startswith("csr") for row in sparse.layers)
    assert all(row.format != "dense" or row.reason for row in sparse.layers)
    exporters.save(sparse.model, tmp_path / "model.onnx")
    model = exporters.load(tmp_path / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    with torch.no_grad():
        made = network(*inputs)
    want = [one.numpy() for one in (made if isinstance(made, tuple) else (made,))]
    feeds = {value.name: one.numpy() for value, one in zip(model.graph.input, inputs, strict=True)}
    data = exporters.to_bytes(model)
    ways = {"kernels": runtimes.session(data), "stock": onnxruntime.InferenceSession(data)}
    if name in ON_REFERENCE:
        ways["reference"] = ReferenceEvaluator(model)
    for way, session in ways.items():
        for got, expected in zip(session.run(None, feeds), want, strict=True):
            assert exporters.relative_difference(got, expected) < TOLERANCE, way


@pytest.mark.parametrize("name", ON_ARM64)
def test_arm64_computes_what_x86_64_does(name: str, tmp_path: Path) -> None:
    _, inputs, sparse = exported(name)
    path = tmp_path / "model.onnx"
    exporters.save(sparse.model, path)
    x = inputs[0][:1].numpy()
    (here,) = runtimes.session(path).run(None, {"input": x})
    try:
        there = run_model(emulator("cortex-a76"), path, x).output
    except EmulationUnavailableError as error:
        pytest.skip(str(error))
    assert exporters.relative_difference(there, np.asarray(here)) < TOLERANCE


def test_a_shared_weight_is_stored_and_counted_once(tmp_path: Path) -> None:
    network, inputs, sparse = exported("unrolled")
    exporters.save(sparse.model, tmp_path / "sparse.onnx")
    exporters.save(exporters.to_onnx(network, inputs[0]), tmp_path / "dense.onnx")
    report = exporters.inspect(tmp_path / "sparse.onnx")
    assert sum(1 for row in report.layers if row.shares) == 14
    assert report.weights == sum(one.numel() for one in network.parameters() if one.ndim > 1)
    sizes = [(tmp_path / f"{name}.onnx").stat().st_size for name in ("sparse", "dense")]
    assert sizes[0] < sizes[1]


def test_layers_that_stay_dense_say_why() -> None:
    reasons = [row.reason for row in exported("tokens")[2].layers if row.format == "dense"]
    assert any("embedding" in reason for reason in reasons)
    assert all(reasons)
