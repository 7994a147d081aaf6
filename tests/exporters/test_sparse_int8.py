"""Quantised networks of several tools become one file with the same bits in stock ONNX Runtime."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import numpy.typing as npt
import onnx
import onnx_models
import pytest
import qdq_builder
from onnx import numpy_helper
from qdq_builder import Qdq

import exporters
import runtimes
from exporters import QuantisedCandidate, QuantisedDecision, SparseModel, to_sparse_int8
from exporters.ops import DOMAIN
from exporters.weights import nibbles

Array = npt.NDArray[Any]
Run = Callable[..., tuple[Array, list[str]]]
MOBILE = (
    "Quantize:0 QDenseConv:1 QTable:2 QBlockConv:3 QTable:4 QDepthwiseConv:5 QGlobalAveragePool:6 QBlockConv:7 "
    "QBlockConv:8 QTable:9 QMul:6+10 QBlockConv:11 QAdd:12+3 QBlockConv:13 QTable:14 QMaxPool:15 QGlobalAveragePool:16 "
    "QBlockGemm:17 QTable:18 QBlockGemmFloat:19"
)


def texts(model: onnx.ModelProto) -> list[str]:
    return [node.overload for node in model.graph.node if node.domain == DOMAIN]


def ops(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def same_bits(run_stock: Run, original: onnx.ModelProto, made: SparseModel, shape: tuple[int, ...]) -> None:
    onnx.checker.check_model(made.model, full_check=True)
    x = np.random.default_rng(3).normal(size=shape).astype(np.float32)
    (want, _), (got, _) = run_stock(original, {"input": x}), run_stock(made.model, {"input": x})
    assert len(np.unique(want)) > 20
    np.testing.assert_array_equal(got, want)


def test_a_mobile_network_is_one_node_of_the_same_bits(run_stock: Run, rng: np.random.Generator) -> None:
    original = qdq_builder.mobile(rng)
    before = original.SerializeToString()
    made = to_sparse_int8(original)
    assert original.SerializeToString() == before
    assert texts(made.model) == [MOBILE]
    assert ops(made.model) == ["QSequence"]
    assert all(layer.op.startswith("Q") for layer in made.layers)
    same_bits(run_stock, original, made, (2, 3, 24, 24))


def test_int8_activations_make_the_same_node(run_stock: Run) -> None:
    files = [to_sparse_int8(qdq_builder.mobile(np.random.default_rng(0), dtype)).model for dtype in (np.uint8, np.int8)]
    x = np.random.default_rng(3).normal(size=(2, 3, 24, 24)).astype(np.float32)
    outputs = [run_stock(file, {"input": x})[0] for file in files]
    assert texts(files[0]) == texts(files[1])
    np.testing.assert_array_equal(*outputs)


def test_the_file_is_loaded_described_and_verified(tmp_path: Path, rng: np.random.Generator, run_stock: Run) -> None:
    original = qdq_builder.mobile(rng)
    made = to_sparse_int8(original)
    path = tmp_path / "model.onnx"
    exporters.save(made.model, path)
    exporters.load(path)
    report = exporters.inspect(path)
    assert [(one.name, one.op, one.shape, one.format, one.nnz) for one in report.layers] == [
        (one.name, one.op, one.shape, one.format, one.nnz) for one in made.layers
    ]
    assert report.layers[1].bytes < report.layers[1].bytes_dense / 3
    x = rng.normal(size=(1, 3, 24, 24)).astype(np.float32)
    want, _ = run_stock(original, {"input": x})
    found = exporters.verify(path, x, want, 0.1)  # onnx.reference fuses nothing: a step here and there
    assert found.onnxruntime == 0


def test_apart_each_layer_is_a_node_of_its_own_name_and_the_same_bits(
    tmp_path: Path, rng: np.random.Generator, run_stock: Run
) -> None:
    original = qdq_builder.mobile(rng)
    made = to_sparse_int8(original, apart=True)
    assert made.apart is not None
    names = [node.name for node in made.apart.graph.node if node.domain == DOMAIN]
    assert names == [layer.name for layer in made.layers]
    assert made.model == to_sparse_int8(original).model
    exporters.save(made.apart, tmp_path / "apart.onnx")
    x = rng.normal(size=(2, 3, 24, 24)).astype(np.float32)
    want, _ = run_stock(original, {"input": x})
    (got,) = runtimes.session(tmp_path / "apart.onnx").run(None, {"input": x})
    np.testing.assert_array_equal(got, want)


def four_bits(rng: np.random.Generator, form: str) -> tuple[onnx.ModelProto, SparseModel]:
    """A network whose weights have four bits, and the file of it."""
    net = Qdq(rng, (8, 6, 6))
    original = net.model([net.conv(net.conv(net.start(), 64, 3), 32)])
    for tensor in original.graph.initializer:
        if tensor.name.startswith("weight"):
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) >> 4, tensor.name))
    return original, to_sparse_int8(original, lambda _: QuantisedDecision(form, "asked for"))  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["dense", "1x4", "2x4"])
def test_weights_of_four_bits_are_two_a_byte(
    form: str, tmp_path: Path, rng: np.random.Generator, run_stock: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, made = four_bits(rng, form)
    assert ops(made.model) == ["Cast", "Gather", "Reshape", "Cast", "Gather", "Reshape", "QSequence"]
    same_bits(run_stock, original, made, (2, 8, 6, 6))
    path = tmp_path / "model.onnx"
    exporters.save(made.model, path)
    report = exporters.inspect(path)
    row = [(one.name, one.shape, one.format, one.nnz, one.bytes + 5) for one in made.layers]  # and the grid
    assert [(one.name, one.shape, one.format, one.nnz, one.bytes) for one in report.layers] == row
    x = rng.normal(size=(2, 8, 6, 6)).astype(np.float32)
    want, _ = run_stock(original, {"input": x})
    (got,) = runtimes.session(path).run(None, {"input": x})
    np.testing.assert_array_equal(got, want)
    assert exporters.verify(path, x, want, 0.1).onnxruntime == 0
    monkeypatch.setattr(nibbles, "LEAST", 1 << 30)
    whole = to_sparse_int8(original, lambda _: QuantisedDecision(form, "asked for"))  # type: ignore[arg-type]
    assert sum(one.bytes for one in made.layers) < 0.75 * sum(one.bytes for one in whole.layers)
    assert len(exporters.to_bytes(made.model)) < len(exporters.to_bytes(whole.model))


@pytest.mark.parametrize("what", ["table", "shape", "type"])
def test_weights_that_are_unpacked_otherwise_are_no_constants(
    what: str, tmp_path: Path, rng: np.random.Generator
) -> None:
    _, made = four_bits(rng, "1x4")
    known = {tensor.name: tensor for tensor in made.model.graph.initializer}
    cast, gather, reshape = made.model.graph.node[:3]
    name = {"table": gather.input[0], "shape": reshape.input[1], "type": cast.input[0]}[what]
    array = numpy_helper.to_array(known[name]).copy()
    if what == "table":
        array[3, 1] += 1
    else:
        array = array.astype(np.int8) if what == "type" else array[::-1] * [1, 2]
    known[name].CopyFrom(numpy_helper.from_array(array, name))
    (tmp_path / "model.onnx").write_bytes(made.model.SerializeToString())
    with pytest.raises(exporters.MalformedModelError, match=r"values_1 of node .* is no constant"):
        exporters.load(tmp_path / "model.onnx")


@pytest.fixture(scope="module")
def tiny_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    onnx.save(onnx_models.tiny(), folder / "dense.onnx")
    return folder


@pytest.mark.parametrize("operator", [False, True], ids=["QDQ", "QLinear"])
@pytest.mark.parametrize("signed", [False, True], ids=["u8", "s8"])
@pytest.mark.parametrize("per_channel", [True, False], ids=["channel", "tensor"])
def test_files_of_quantize_static(
    tiny_files: Path, run_stock: Run, operator: bool, signed: bool, per_channel: bool
) -> None:
    made, original = _quantised(tiny_files, operator, signed, per_channel)
    assert texts(made.model) == [
        "Quantize:0 QDenseConv:1 QDepthwiseConv:2 QBlockConv:3 QGlobalAveragePool:4 QBlockGemm:5 Dequantize:6"
    ]
    same_bits(run_stock, original, made, (6, 1, 8, 8))


@pytest.mark.parametrize("option", ["AddQDQPairToWeight", "DedicatedQDQPair", "QDQKeepRemovableActivations"])
def test_forms_of_quantize_static(tiny_files: Path, run_stock: Run, option: str) -> None:
    made, original = _quantised(tiny_files, False, False, True, **{option: True})
    assert len(texts(made.model)) == 1
    assert not [layer for layer in made.layers if not layer.op.startswith("Q")]
    same_bits(run_stock, original, made, (6, 1, 8, 8))


def _quantised(folder: Path, operator: bool, signed: bool, per_channel: bool, **extra: Any) -> Any:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            rng = np.random.default_rng(1)
            self.feeds = [{"input": rng.normal(size=(8, 1, 8, 8)).astype(np.float32)}]

        def get_next(self) -> dict[str, Array] | None:
            return self.feeds.pop() if self.feeds else None

    logging.disable(logging.WARNING)  # it advises to prepare the model
    try:
        quantize_static(
            folder / "dense.onnx",
            folder / "quantised.onnx",
            Reader(),
            quant_format=QuantFormat.QOperator if operator else QuantFormat.QDQ,
            activation_type=QuantType.QInt8 if signed else QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=per_channel,
            extra_options=extra,
        )
    finally:
        logging.disable(logging.NOTSET)
    original = onnx.load(folder / "quantised.onnx")
    return to_sparse_int8(original), original


def test_integers_are_those_of_the_original(rng: np.random.Generator) -> None:
    net = Qdq(rng, (8, 6, 6))
    original = net.model([net.conv(net.start(), 5, 3)])
    made = to_sparse_int8(original, lambda _: QuantisedDecision("dense", "asked for")).model
    known = {tensor.name: numpy_helper.to_array(tensor) for tensor in original.graph.initializer}
    node = made.graph.node[0]
    mine = {tensor.name: numpy_helper.to_array(tensor) for tensor in made.graph.initializer}
    got = dict(zip([*made.functions[0].input], [mine.get(name) for name in node.input], strict=True))
    weight = next(value for name, value in known.items() if name.startswith("weight"))
    bias = next(value for name, value in known.items() if name.startswith("bias"))
    np.testing.assert_array_equal(got["W_1"], weight)
    np.testing.assert_array_equal(got["bias_1"], bias)
    assert (got["y_zero_0"], got["y_zero_1"]) == (128, 128)


def test_select_is_asked_and_its_format_written(rng: np.random.Generator, run_stock: Run) -> None:
    net = Qdq(rng, (8, 6, 6))
    x = net.conv(net.conv(net.conv(net.start(), 12), 12, 3, group=12), 10)
    original = net.model([x])
    seen = list[QuantisedCandidate]()

    def select(layer: QuantisedCandidate) -> QuantisedDecision:
        seen.append(layer)
        return QuantisedDecision("2x4" if len(seen) == 1 else "1x4", "as the test says")

    made = to_sparse_int8(original, select)
    assert texts(made.model) == ["Quantize:0 QBlockConv:1 QDepthwiseConv:2 QBlockConv:3 Dequantize:4"]
    assert [layer.format for layer in made.layers] == ["2x4", "depthwise", "1x4"]
    assert [layer.op for layer in seen] == ["QConv", "QDepthwiseConv", "QConv"]
    assert 0 < seen[0].blocks["1x4"] < seen[0].blocks["2x4"] <= 1
    assert not seen[1].blocks
    same_bits(run_stock, original, made, (1, 8, 6, 6))


def test_a_part_that_would_be_slower_stays_standard(rng: np.random.Generator) -> None:
    net = Qdq(rng, (8, 6, 6))
    original = net.model([net.conv(net.start(), 12)])
    made = to_sparse_int8(original, lambda _: QuantisedDecision("1x4", "half zeros", ours=2.0, onnxruntime=1.0))
    assert made.model == original
    assert [layer.op for layer in made.layers] == ["Conv"]
    assert "would be slower" in made.layers[0].reason


def test_a_network_of_float32_stays_as_it_is() -> None:
    dense = onnx_models.tiny()
    made = to_sparse_int8(dense)
    assert made.model == dense
    assert not exporters.is_quantised(dense)
    assert {layer.reason for layer in made.layers} == {"it reads float32 numbers that were not rounded to integers"}
