"""QSequence: its text, and its body against plain integers in ONNX Runtime and onnx.reference."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import q_models
import q_reference
from onnx.reference import ReferenceEvaluator
from q_models import Stage, grid, product

from exporters.ops.q_sequence import MOST_STAGES, MOST_TEXT, q_sequence_op, q_sequence_text

Array = npt.NDArray[Any]
FUSED = {"QuantizeLinear", "DequantizeLinear", "QLinearConv", "QGemm", "QLinearAdd", "QLinearMul", "MaxPool"}
FUSED |= {"QLinearGlobalAveragePool", "NhwcMaxPool", "Transpose", "Flatten", "Unsqueeze", "Cast", "Gather"}


def integers(stages: list[Stage], x: Array) -> list[Array]:
    return q_reference.sequence(*q_models.arguments(stages), x)


@pytest.mark.parametrize("height", [1, 2])
@pytest.mark.parametrize("seed", range(3))
def test_stock_onnxruntime_computes_the_same_bits(run_stock: Callable[..., Any], height: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    stages = q_models.every_stage(rng, height)
    x = rng.normal(scale=3, size=(2, 3, 16, 16)).astype(np.float32)
    got, ops = run_stock(q_models.model_of(stages, ["N", 3, 16, 16]), {"X": x})
    want = integers(stages, x)
    assert set(ops) <= FUSED, "something stays in floating point"
    assert all(len(np.unique(value)) > 3 for value in want[1:-1]), "values say nothing"
    np.testing.assert_array_equal(got, want[-1])


def one_layer(rng: np.random.Generator, layer: Stage) -> list[Stage]:
    return [Stage("Quantize:0", grid(0.05, 120)), layer, Stage("Dequantize:2")]


def layers(rng: np.random.Generator) -> list[Stage]:
    return [
        Stage("QBlockConv:1", product(rng, (5, 6, 3, 3), grid(0.4, 119), 1), q_models.HALF),
        Stage("QBlockConv:1", product(rng, (5, 6, 1, 1), grid(0.2, 0), 2), q_models.POINT),
        Stage("QDenseConv:1", product(rng, (5, 6, 3, 3), grid(0.6, 119)), q_models.SAME),
        Stage("QDepthwiseConv:1", product(rng, (6, 1, 3, 3), grid(0.3, 119)), {**q_models.SAME, "group": 6}),
        Stage("QGlobalAveragePool:1", grid(0.03, 130)),
        Stage("QMaxPool:1", {}, {"kernel_shape": [2, 3], "strides": [1, 2], "pads": [1, 0, 0, 1]}),
        Stage("QTable:1", {"table": rng.integers(0, 256, 256).astype(np.uint8), **grid(0.02, 11)}),
        Stage("QAdd:1+1", grid(0.11, 119)),
        Stage("QMul:1+1", grid(0.3, 40)),
    ]


@pytest.mark.parametrize("index", range(9))
def test_without_fusion_a_layer_is_within_a_step(index: int) -> None:
    rng = np.random.default_rng(index)
    stages = one_layer(rng, layers(rng)[index])
    model = q_models.model_of(stages, ["N", 6, 9, 7], out_rank=4)
    onnx.checker.check_model(model, full_check=True)
    x = rng.normal(scale=2, size=(2, 6, 9, 7)).astype(np.float32)
    want = integers(stages, x)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    step = float(stages[1].constants.get("y_scale", 0.05)) * 1.001
    for got in (session.run(None, {"X": x})[0], ReferenceEvaluator(model).run(None, {"X": x})[0]):
        assert got.shape == want[-1].shape
        assert float(np.abs(got - want[-1]).max()) <= step


@pytest.mark.parametrize("shape", [(7, 9), (8, 8), (3, 1)])
@pytest.mark.parametrize("height", [1, 2])
def test_linear_layers_in_onnx_reference(shape: tuple[int, int], height: int, rng: np.random.Generator) -> None:
    stages = [
        Stage("Quantize:0", grid(0.05, 120)),
        Stage("QBlockGemm:1", product(rng, shape, grid(0.3, 60), height)),
        Stage("QBlockGemmFloat:2", product(rng, (5, shape[0]), {}, height)),
    ]
    x = rng.normal(size=(2, shape[1], 1, 1)).astype(np.float32)
    model = q_models.model_of(stages, ["N", shape[1], 1, 1])
    got = ReferenceEvaluator(model).run(None, {"X": x})[0]
    want = integers(stages, x)[-1]
    assert float(np.abs(got - want).max()) <= 127 * 0.004 * 0.3 * shape[0]


def test_a_layer_without_blocks_gives_its_bias(run_stock: Callable[..., Any], rng: np.random.Generator) -> None:
    constants = product(rng, (5, 6, 3, 3), grid(0.2, 120), 1, density=0)
    assert constants["values"].shape == (0, 4)
    stages = [Stage("Quantize:0", grid(0.05, 120)), Stage("QBlockConv:1", constants, q_models.SAME)]
    stages.append(Stage("Dequantize:2"))
    x = rng.normal(size=(1, 6, 4, 4)).astype(np.float32)
    model = q_models.model_of(stages, [1, 6, 4, 4], out_rank=4)
    want = integers(stages, x)[-1]
    np.testing.assert_array_equal(run_stock(model, {"X": x})[0], want)
    np.testing.assert_array_equal(ReferenceEvaluator(model).run(None, {"X": x})[0], want)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Quantize:0",
        "Quantize:0 Dequantize:0",
        "Quantize:0 Dequantize:2",
        "Quantize:0 Dequantize:01",
        "Quantize:1 Dequantize:1",
        "Quantize:0  Dequantize:1",
        "Quantize:0 Dequantize:1 ",
        "Quantize:0 Dequantize:1+1",
        "Quantize:0 QAdd:1 Dequantize:2",
        "Quantize:0 QAdd:1+2 Dequantize:2",
        "Quantize:0 QAdd:1+0 Dequantize:2",
        "Quantize:0 Conv:1 Dequantize:2",
        "Quantize:0 Dequantize:1 Quantize:2 Dequantize:3",
        "Quantize:0 QTable:1",
        "QTable:0 Dequantize:1",
        "Quantize:0 QTable:-1 Dequantize:1",
        "Quantize:0 QTable:9999 Dequantize:1",
        "Quantize:0 " + "QTable:1 " * (MOST_STAGES - 1) + "Dequantize:1",
        "Quantize:0 QTable:1 Dequantize:2" + " " * MOST_TEXT,
    ],
)
def test_an_invalid_text_has_no_op(text: str) -> None:
    assert q_sequence_op(text, "QSequence") is None


def test_the_longest_text_has_one() -> None:
    words = [("QTable", index, None) for index in range(1, MOST_STAGES - 1)]
    text = q_sequence_text([("Quantize", 0, None), *words, ("Dequantize", MOST_STAGES - 1, None)])
    op = q_sequence_op(text, "QSequence2")
    assert op is not None
    assert (op.name, op.function.overload, len(op.parts)) == ("QSequence2", text, MOST_STAGES)
