"""Page about a network that is no bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import own_networks
import pytest
from fake_device import results_of
from onnx import numpy_helper

import exporters
from chita_edge.deploy.export import export
from chita_edge.errors import UsageError
from chita_edge.export_config import ExportConfig
from chita_edge.report.network_page import report_network
from device_bench.errors import PlanError
from device_bench.results import save

SIZES = {"image": (1, 3, 64, 64)}


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An ONNX file whose pointwise convolution is nine tenths zeros."""
    monkeypatch.chdir(tmp_path)
    model = own_networks.as_onnx()
    tensor = next(one for one in model.graph.initializer if one.name == "b.weight")
    weight = numpy_helper.to_array(tensor).copy()
    weight.reshape(-1)[np.arange(weight.size) % 10 > 0] = 0
    tensor.CopyFrom(numpy_helper.from_array(weight, "b.weight"))
    onnx.save(model, "net.onnx")
    return "net.onnx"


def test_the_page_has_every_layer_with_its_macs_and_the_reason_of_the_export(network: str) -> None:
    written = report_network(network, target="arm64", sizes=SIZES)
    exported = export(network, ExportConfig(target="arm64"), sizes=SIZES)
    page = written.page.read_text()
    assert written.page == Path("net-arm64.html")
    assert [layer["name"] for layer in written.content["layers"]] == [layer.name for layer in exported.layers]
    for layer in exported.layers:
        assert layer.reason in page
    assert exported.layers[1].format != "dense"
    assert written.content["layers"][1]["macs"]["dense"] == 32 * 32 * 32 * 16  # 32×32 pixels, 16 channels to 32
    for words in ("net.onnx for arm64", "batch×3×height×width", "32×16×1×1", "Nothing was measured"):
        assert words in page
    assert "accuracy" not in page


def test_runs_are_shown_and_runs_of_one_name_told_apart(network: str, tmp_path: Path) -> None:
    (tmp_path / "later").mkdir()
    for folder, seed in ((tmp_path, 1), (tmp_path / "later", 2)):
        save(results_of(seed, dense=9.0, sparse=3.0), folder / "phone.json")
    written = report_network(network, [Path("phone.json"), Path("later/phone.json")], target="arm64", sizes=SIZES)
    assert written.runs == ("phone", "phone-2")
    page = written.page.read_text()
    assert "Nothing was measured" not in page
    assert "3.00×" in page


def test_a_file_that_is_sparse_already_keeps_its_rows(network: str) -> None:
    exporters.save(export(network, ExportConfig(target="arm64"), sizes=SIZES).model, Path("sparse.onnx"))
    written = report_network("sparse.onnx", target="arm64", sizes=SIZES)
    stored = {layer["name"]: layer["format"] for layer in written.content["layers"]}
    assert len(stored) == 3
    assert stored["c2"] not in ("dense", "depthwise")


def test_an_open_size_is_asked_for_and_a_page_is_not_replaced_unasked(network: str) -> None:
    with pytest.raises(PlanError, match="input 'image'"):
        report_network(network, target="arm64")
    assert not Path("net-arm64.html").exists()
    report_network(network, target="arm64", sizes=SIZES)
    with pytest.raises(UsageError, match="--force"):
        report_network(network, target="arm64", sizes=SIZES)
    report_network(network, target="arm64", sizes=SIZES, force=True)
