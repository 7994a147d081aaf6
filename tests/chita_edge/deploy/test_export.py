"""One function exports what a torch network, an ONNX model or a file of one computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_models
import pytest
import torch
from torch import nn

import chita_edge
import exporters
import runtimes
from chita_edge import ExportConfig
from chita_edge.errors import UsageError


def sparse_network() -> nn.Module:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(64, 256, 1), nn.ReLU(), nn.Conv2d(256, 256, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    with torch.no_grad():
        for layer in (network[0], network[2]):
            layer.weight *= torch.rand_like(layer.weight) < 0.05
    return network.eval()


def test_a_network_its_model_and_its_file_become_the_same_file(tmp_path: Path) -> None:
    network, images = sparse_network(), torch.randn(2, 64, 14, 14)
    config = ExportConfig(target="x86_64")
    exported = chita_edge.export(network, config, example_input=images)
    assert [layer.format for layer in exported.layers] == ["csr", "csr"]
    dense = exporters.to_onnx(network, images)
    exporters.save(dense, tmp_path / "dense.onnx")
    for other in (dense, tmp_path / "dense.onnx", str(tmp_path / "dense.onnx")):
        again = chita_edge.export(other, config)
        assert exporters.to_bytes(again.model) == exporters.to_bytes(exported.model)
        assert again.layers == exported.layers
        assert again.apart is None
    chita_edge.export(dense, config, out=tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == exporters.to_bytes(exported.model)
    with pytest.raises(UsageError, match="exists"):
        chita_edge.export(dense, config, out=tmp_path / "model.onnx")
    (answers,) = runtimes.session(tmp_path / "model.onnx").run(None, {"input": images.numpy()})
    np.testing.assert_allclose(answers, network(images).detach().numpy(), rtol=1e-4, atol=1e-5)


def test_the_configuration_decides_how_weights_are_stored() -> None:
    network, images = sparse_network(), torch.randn(2, 64, 14, 14)
    half = chita_edge.export(network, ExportConfig(target="arm64", values="float16"), example_input=images, apart=True)
    values = [tensor for tensor in half.model.graph.initializer if tensor.name.endswith(".values")]
    assert {tensor.data_type for tensor in values} == {onnx.TensorProto.FLOAT16}
    assert half.apart is not None


def test_what_cannot_be_exported_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="example_input"):
        chita_edge.export(sparse_network(), ExportConfig(target="arm64"))
    with pytest.raises(runtimes.errors.RuntimesError, match="no target 'z80'"):
        chita_edge.export(onnx_models.tiny(), ExportConfig(target="z80"))
    (tmp_path / "junk.onnx").write_bytes(b"junk")
    with pytest.raises(exporters.ExportError, match=r"junk\.onnx"):
        chita_edge.export(tmp_path / "junk.onnx", ExportConfig(target="arm64"))
