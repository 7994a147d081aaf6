"""By which road a network is made, where it has an integer form and where it has none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from mixed_networks import SmallMixed, SmallTwo, two
from small_networks import SmallMobile, SmallSeries, inputs_of, pictures, series, settled
from torch import nn

import exporters
from chita_edge.config import BuildConfig, ExportConfig, validated
from chita_edge.deploy.candidates import Candidate
from chita_edge.deploy.int8_network import Float32Chosen
from chita_edge.deploy.load import Inputs
from chita_edge.deploy.make import Made, make
from chita_edge.deploy.result import built_layers
from chita_edge.deploy.road import Road
from chita_edge.network.inputs import SeveralInputs
from chita_edge.progress import silent
from chita_edge.quantization import UnsupportedNetworkError


def made(model: nn.Module, prunable: tuple[str, ...], **options: Any) -> Made:
    images = inputs_of(type(model))(40, 5)
    with torch.no_grad():
        labels = model(images).argmax(1)
    inputs = Inputs(model, images[:30], labels[:30], None)
    config = validated(BuildConfig, {"model": "m", "export": {"target": "x86_64"}, **options})
    return make(config, inputs, prunable, state_dir=None, progress=silent)


class OfPairs(nn.Module):
    """A network of products of all pairs of pixels, nearly all of it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.second, self.head = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1), nn.Linear(144, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.second(torch.relu(self.stem(x))).flatten(2)
        return self.head((x.transpose(1, 2) @ x).mean(2))


MADE = Made(
    config=validated(BuildConfig, {"model": "m", "export": {"target": "x86_64"}}), model=onnx.ModelProto(),
    apart=onnx.ModelProto(), layers=(), check=lambda _path, _images: {}, method="magnitude", sparsity=0.8, reason="",
)  # fmt: skip


def wide() -> nn.Module:
    """A network whose zeros are worth something."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 64, 3, 2), nn.ReLU(), nn.Conv2d(64, 128, 1), nn.ReLU(), nn.Conv2d(128, 128, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 4)).eval()


def test_a_network_with_few_integer_forms_becomes_float32_unless_int8_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    roads: list[Road] = []
    monkeypatch.setattr("chita_edge.deploy.make._floating", lambda _config, road, *_: roads.append(road) or MADE)
    model = OfPairs().eval()
    made(model, ("second.weight",), prune={"seed": 1})
    assert [(road.dtype, road.structure) for road in roads] == [("float32", "unstructured")]
    assert (
        "Only 5% of the network's multiplications have an integer form; float32 stays matmul, mean." in roads[0].reason
    )
    assert made(model, ("second.weight",), dtype="int8", prune={"sparsity": 0.5}).config.dtype == "int8"
    with pytest.raises(UnsupportedNetworkError, match="No layer of the network has an integer form"):
        made(nn.Sequential(nn.Softmax(1), nn.Flatten()).eval(), (), dtype="int8")


def test_float_parts_stand_between_integer_ones_and_are_told_of(tmp_path: Path) -> None:
    found = made(settled(SmallMixed), ("second.0.weight", "query.weight"), prune={"sparsity": 0.5})
    assert found.int8 is not None
    assert found.int8.prunable == ("second.0", "query")
    ops = [node.op_type for node in found.model.graph.node]
    assert {"LayerNormalization", "Softmax", "Resize"} <= set(ops)
    assert sum(op.startswith("QSequence") for op in ops) == 5
    (told,) = (remark for remark in found.remarks if "stay float32" in remark)
    assert told.startswith("5 parts of the network stay float32, 19% of its multiplications: the LayerNorm norm, ")
    (tmp_path / "model.onnx").write_bytes(exporters.to_bytes(found.model))
    found.check(tmp_path / "model.onnx", pictures(3, 9))


class Across(nn.Module):
    """A layer along the width of an image, which no integer op does."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.width, self.second = nn.Conv2d(3, 8, 1), nn.Linear(12, 12), nn.Conv2d(8, 8, 3)
        self.head = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.second(self.width(self.stem(x)))).mean((2, 3)))


def test_weights_of_float_parts_are_told_of_as_dense() -> None:
    torch.manual_seed(0)
    found = made(Across().eval(), ("width.weight", "second.weight"), dtype="int8", prune={"sparsity": 0.5})
    assert found.int8 is not None and found.int8.prunable == ("second",)
    assert "Not pruned, it is in a part of the network that stays float32: width.weight (Linear)." in found.remarks
    assert "width" in {layer.name for layer in found.layers}


def test_the_sparsity_is_chosen_and_stands_in_the_configuration() -> None:
    found = made(wide(), ("2.weight", "4.weight"), quantize={"max_drop": 100.0})
    assert found.int8 is not None
    (best,) = (one for one in found.candidates if one.chosen)
    assert best == min(found.candidates, key=lambda one: one.predicted)  # every drop is allowed
    assert (found.config.dtype, found.config.prune.structure) == ("int8", found.int8.structure)
    assert found.config.prune.sparsity == found.sparsity == pytest.approx(best.sparsity, abs=0.02)
    assert 0.3 < best.sparsity < 1 and len(found.candidates) <= 6
    assert {one.dtype for one in found.candidates} == {"int8", "float32"}
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


def test_float32_is_made_where_it_was_chosen_among_candidates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    roads: list[tuple[Road, Path | None]] = []

    def floating(
        _config: BuildConfig, road: Road, _inputs: Inputs, _names: Any, state: Path | None, _told: Any
    ) -> Made:
        roads.append((road, state))
        return replace(MADE, remarks=("made",))

    chosen = Candidate("unstructured", 0.8, 5.0, "µs", 0.9, 0.2, chosen=True, dtype="float32")
    other = Candidate("dense", 0.0, 3.0, "µs", 0.5, 9.0)
    monkeypatch.setattr("chita_edge.deploy.make._floating", floating)
    monkeypatch.setattr("chita_edge.deploy.make._int8", lambda *_: Float32Chosen((other, chosen), ("told",)))
    inputs = Inputs(settled(SmallMobile), torch.zeros(4, 3, 8, 8), torch.zeros(4).long(), None)
    found = make(MADE.config, inputs, None, state_dir=tmp_path, progress=silent)
    ((road, state),) = roads
    assert (road.dtype, road.structure, road.sparsity) == ("float32", "unstructured", 0.8)
    assert "no int8 candidate is accurate enough" in road.reason
    assert state == tmp_path / "float32"
    assert found.candidates == (other, chosen) and found.remarks == ("made", "told")


def test_what_has_no_integer_form_is_resumed_in_the_same_folder(tmp_path: Path) -> None:
    inputs = Inputs(OfPairs().eval(), pictures(30), torch.arange(30) % 4, None)
    options = {"sparsity": 0.5, "seed": 0}
    config = validated(BuildConfig, {"model": "m", "export": {"target": "x86_64"}, "prune": options})
    first, second = (make(config, inputs, ("second.weight",), state_dir=tmp_path, progress=silent) for _ in range(2))
    assert first.config.dtype == "float32"
    assert first.model.SerializeToString() == second.model.SerializeToString()


@pytest.mark.parametrize("names", [None, ("image", "row", "token")])
def test_networks_of_several_inputs(names: tuple[str, ...] | None, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, samples = SmallTwo().eval(), SeveralInputs(two(40, 5), names)
    with torch.no_grad():
        labels = model(*samples.tensors).argmax(1)
    config = validated(BuildConfig, {"model": "m", "export": {"target": "x86_64"}, "prune": {"distill_epochs": 1}})
    found = make(config, Inputs(model, samples, labels, None), None, state_dir=None, progress=silent)
    assert found.config.dtype == "int8"
    inputs = {value.name: value.type.tensor_type.elem_type for value in found.model.graph.input}
    expected = names or ("input_0", "input_1", "input_2")
    assert inputs == dict(
        zip(expected, (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT, onnx.TensorProto.INT64), strict=False)
    )
    (told,) = (remark for remark in found.remarks if "stays float32" in remark)
    assert told == "1 part of the network stays float32, 0% of its multiplications: the Embedding token."
    (tmp_path / "model.onnx").write_bytes(exporters.to_bytes(found.model))
    found.check(tmp_path / "model.onnx", SeveralInputs(two(2, 9), names))
