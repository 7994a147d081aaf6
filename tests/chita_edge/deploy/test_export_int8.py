"""Quantised networks of any tool become sparse int8 files, and what is not of a dtype is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_models
import pytest
import torch
from small_networks import SmallMobile, pictures, settled

import chita_edge
import exporters
import runtimes
from chita_edge import ExportConfig
from chita_edge.deploy.int8_baseline import int8_baseline
from chita_edge.deploy.int8_costs import int8_format
from chita_edge.deploy.int8_products import products_are_exact
from chita_edge.deploy.qdq import to_qdq
from chita_edge.errors import UsageError
from chita_edge.quantization import CompressionConfig, compress

CONFIG = ExportConfig(target="x86_64")


def test_integers_of_another_tool_stay_as_they_are(tmp_path: Path) -> None:
    images = pictures(8, 3)
    quantised = int8_baseline(exporters.to_onnx(settled(SmallMobile), images[:2]), images)
    exported = chita_edge.export(quantised, CONFIG, out=tmp_path / "sparse.onnx")
    assert any(node.op_type == "QSequence" for node in exported.model.graph.node)
    assert {layer.name for layer in exported.layers} >= {layer.name for layer in exported.layers if layer.reason}
    (found,) = runtimes.session(tmp_path / "sparse.onnx").run(None, {"input": images.numpy()})
    (wanted,) = runtimes.dense_session(quantised.SerializeToString()).run(None, {"input": images.numpy()})
    # Hard swish is a table here and floating point there.
    steps = np.abs(found - wanted).max() / np.abs(wanted).max()
    assert steps < (0.1 if products_are_exact() else 0.5)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_dtype_that_the_file_is_not_of_is_refused(dtype: str) -> None:
    with pytest.raises(UsageError, match="no integers"):
        chita_edge.export(onnx_models.tiny(), CONFIG, dtype="int8")
    images = pictures(8, 3)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.ReLU())
    quantised = int8_baseline(exporters.to_onnx(model, images[:2]), images)
    with pytest.raises(UsageError, match="quantised"):
        chita_edge.export(quantised, CONFIG, dtype=dtype)  # type: ignore[arg-type]


def test_each_layer_takes_the_cheapest_form_and_says_why() -> None:
    decide = int8_format(runtimes.get_target("x86_64"))

    def candidate(share: float) -> exporters.QuantisedCandidate:
        blocks = {"1x4": share, "2x4": min(1.0, 1.5 * share)}
        return exporters.QuantisedCandidate("layer", "QConv", 256, 256, (1, 1), (1, 1), 196, 9, 1 - share, blocks)

    few, many = decide(candidate(0.1)), decide(candidate(1.0))
    assert (few.format, many.format) == ("1x4", "dense")
    assert "90% zeros: 1x4 takes" in few.reason
    assert few.ours < many.ours
    assert "on x86_64" in many.reason


def test_a_grouped_layer_is_in_blocks_and_none_of_them_is_between_groups(tmp_path: Path) -> None:
    torch.manual_seed(0)
    grouped = torch.nn.Conv2d(32, 32, 3, padding=1, groups=8)
    layers = [torch.nn.Conv2d(3, 32, 3), torch.nn.ReLU(), grouped, torch.nn.ReLU(), torch.nn.Conv2d(32, 8, 1)]
    config = CompressionConfig(sparsity=0.0, rows=500, curvature_images=8, activation_rounds=1)
    network = compress(torch.nn.Sequential(*layers).eval(), pictures(20, 5), config).network
    assert network is not None
    exported = chita_edge.export(to_qdq(network, pictures(1)), CONFIG, out=tmp_path / "grouped.onnx")
    (layer,) = (layer for layer in exported.layers if layer.name == "2")
    assert (layer.op, layer.format, layer.shape) == ("QBlockConv", "2x4", (32, 4, 3, 3))
    assert "in 8 groups" in layer.reason
    assert layer.macs == layer.macs_dense == 32 * 4 * 9 * 100
    images = pictures(4, 9)
    (found,) = runtimes.session(tmp_path / "grouped.onnx").run(None, {"input": images.numpy()})
    assert (found == network(images).numpy()).all()


@pytest.mark.parametrize("target", ["arm64", "x86_64"])
def test_a_layer_without_zeros_stays_dense_and_one_of_zeros_does_not(target: str) -> None:
    decide = int8_format(runtimes.get_target(target))

    def layer(share: float, channels: int) -> exporters.QuantisedCandidate:
        blocks = {"1x4": share, "2x4": min(1.0, share * 1.2)}
        whole = 64 * channels
        return exporters.QuantisedCandidate(
            "layer", "QConv", 64, channels, (1, 1), (1, 1), 784, round(whole * share), 1 - share, blocks
        )

    assert decide(layer(1.0, 64)).format == "dense"
    assert decide(layer(1.0, 3)).format == "dense"
    assert decide(layer(0.25, 64)).format in ("1x4", "2x4")
