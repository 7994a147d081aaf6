"""By which road a network is made, where it has an integer form and where it has none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from mixed_networks import SmallMixed
from small_networks import SmallMobile, SmallSeries, inputs_of, pictures, series, settled
from torch import nn

import exporters
from chita_edge.config import BuildConfig, ExportConfig, validated
from chita_edge.deploy.load import Inputs
from chita_edge.deploy.make import Made, make
from chita_edge.deploy.result import built_layers
from chita_edge.deploy.road import Road
from chita_edge.progress import silent
from chita_edge.quantization import UnsupportedNetworkError


def made(model: nn.Module, prunable: tuple[str, ...], **options: Any) -> Made:
    images = inputs_of(type(model))(40, 5)
    with torch.no_grad():
        labels = model(images).argmax(1)
    inputs = Inputs(model, images[:30], labels[:30], None)
    config = validated(BuildConfig, {"model": "m", "export": {"target": "x86_64"}, **options})
    return make(config, inputs, prunable, state_dir=None, progress=silent)


class OfRows(nn.Module):
    """A network that is linear on the rows of each image, nearly all of it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.rows, self.head = nn.Conv2d(3, 4, 1), nn.Linear(12, 64), nn.Linear(64, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.rows(self.stem(x))).mean((1, 2)))


def test_a_network_with_few_integer_forms_becomes_float32_unless_int8_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    roads: list[Road] = []
    monkeypatch.setattr("chita_edge.deploy.make._floating", lambda _config, road, *_: roads.append(road))
    model = OfRows().eval()
    made(model, ("rows.weight",), prune={"seed": 1})
    assert [(road.dtype, road.structure) for road in roads] == [("float32", "unstructured")]
    assert (
        "Only 5% of the network's multiplications have an integer form; float32 stays the Linear rows on"
        in roads[0].reason
    )
    assert made(model, ("rows.weight",), dtype="int8", prune={"sparsity": 0.5}).config.dtype == "int8"
    with pytest.raises(UnsupportedNetworkError, match="No layer of the network has an integer form"):
        made(nn.Sequential(nn.Linear(12, 4), nn.Flatten()).eval(), ("0.weight",), dtype="int8")


def test_float_parts_stand_between_integer_ones_and_are_told_of(tmp_path: Path) -> None:
    found = made(settled(SmallMixed), ("second.0.weight", "query.weight"), prune={"sparsity": 0.5})
    assert found.int8 is not None
    assert found.int8.prunable == ("second.0",)
    ops = [node.op_type for node in found.model.graph.node]
    assert {"LayerNormalization", "Softmax", "Resize"} <= set(ops)
    assert sum(op.startswith("QSequence") for op in ops) == 3
    (told,) = (remark for remark in found.remarks if "stay float32" in remark)
    assert told.startswith("3 parts of the network stay float32, 36% of its multiplications: the LayerNorm norm, ")
    assert any("in a part of the network that stays float32: query.weight" in remark for remark in found.remarks)
    (tmp_path / "model.onnx").write_bytes(exporters.to_bytes(found.model))
    found.check(tmp_path / "model.onnx", pictures(3, 9))


def test_the_sparsity_is_chosen_and_stands_in_the_configuration() -> None:
    model = settled(SmallMobile)
    found = made(model, ("point.0.weight", "last.0.weight"), quantize={"max_drop": 100.0})
    assert found.int8 is not None
    (best,) = (one for one in found.int8.candidates if one.chosen)
    assert best == min(found.int8.candidates, key=lambda one: one.predicted)  # every drop is allowed
    assert (found.config.dtype, found.config.prune.structure) == ("int8", best.structure)
    assert found.config.prune.sparsity == best.sparsity == 0.9
    assert len(found.int8.candidates) <= 6
    assert {one.structure for one in found.int8.candidates} == {"1x4"}
    assert sum(one.metric is not None for one in found.int8.candidates) <= 4
    assert {node.op_type for node in found.model.graph.node} >= {"QSequence"}
    compared, *dense = found.remarks[:2]
    assert compared.startswith("Outputs are compared by KL") and "which nothing was fitted on" in compared
    assert all(line.startswith("Not pruned, ") for line in dense)
    assert {layer.name for layer in found.layers} == set(found.int8.network.layers)
    assert {layer.name for layer in found.layers} <= {node.name for node in found.apart.graph.node}


def test_float16_is_stored_and_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[ExportConfig] = []

    def export(_network: nn.Module, config: ExportConfig, **_options: Any) -> exporters.SparseModel:
        seen.append(config)
        return exporters.SparseModel(onnx.ModelProto(), ())

    monkeypatch.setattr("chita_edge.deploy.make.export", export)
    options = {"sparsity": 0.5, "method": "magnitude", "recalibration_views": 0}
    found = made(settled(SmallMobile), ("point.0.weight",), dtype="float16", prune=options)
    assert found.config.dtype == "float16"
    assert [(config.values, config.arithmetic) for config in seen] == [("float16", "float16")]


def test_a_network_of_series_becomes_int8_of_the_same_bits(tmp_path: Path) -> None:
    model = settled(SmallSeries)
    found = made(model, ("same.0.weight", "last.0.weight"), prune={"sparsity": 0.5})
    assert found.int8 is not None
    assert [node.op_type for node in found.model.graph.node][:2] == ["Unsqueeze", "QSequence"]
    (layer,) = (layer for layer in found.layers if layer.name == "last.0")
    (row,) = built_layers([layer], [replace(layer, shape=(16, 24, 1))])
    assert row.shape == row.dense_shape == (16, 24, 1)  # as torch has it
    assert "kept" not in row.reason
    (tmp_path / "model.onnx").write_bytes(exporters.to_bytes(found.model))
    checked = found.check(tmp_path / "model.onnx", series(3, 9))
    assert checked["ONNX Runtime with the kernels"] == 0
