"""A row per layer, of our files and of others."""

from __future__ import annotations

from pathlib import Path

import onnx

from exporters import Decision, inspect, save, to_sparse


def test_sparse_file(tiny: onnx.ModelProto, tmp_path: Path) -> None:
    sparse = to_sparse(tiny, lambda info: Decision(sparse=True, reason="test"))
    save(sparse.model, tmp_path / "model.onnx")
    report = inspect(tmp_path / "model.onnx")
    assert report.sparse_ops
    assert report.bytes == (tmp_path / "model.onnx").stat().st_size
    assert report.inputs == (("input", ("batch", 1, 8, 8)),)
    assert report.outputs == (("logits", ("batch", 10)),)
    assert report.other_ops == (("Flatten", 1), ("GlobalAveragePool", 1))
    assert len(report.layers) == len(sparse.layers)
    for row, made in zip(report.layers, sparse.layers, strict=True):
        assert (row.name, row.op, row.shape, row.format, row.nnz) == (
            made.name,
            made.op,
            made.shape,
            made.format,
            made.nnz,
        )
        assert (row.sparsity, row.bytes, row.bytes_dense) == (made.sparsity, made.bytes, made.bytes_dense)
    assert report.weights == 72 + 72 + 128 + 160
    assert report.nnz == sum(row.nnz for row in sparse.layers)
    assert report.sparsity == 1 - report.nnz / report.weights


def test_dense_file(tiny: onnx.ModelProto, tmp_path: Path) -> None:
    save(tiny, tmp_path / "model.onnx")
    report = inspect(tmp_path / "model.onnx")
    assert not report.sparse_ops
    assert [(row.op, row.format) for row in report.layers] == [
        ("Conv", "dense"),
        ("Conv", "depthwise"),
        ("Conv", "dense"),
        ("Gemm", "dense"),
    ]
    assert dict(report.other_ops) == {"Clip": 2, "Flatten": 1, "GlobalAveragePool": 1, "Relu": 1}
