"""QLinear ops become the standard op between DequantizeLinear and QuantizeLinear, of the same bits where fused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from qdq_builder import Codes, Qdq
from stock import outputs_of

from exporters.qdq.from_qlinear import from_qlinear

MICROSOFT = "com.microsoft"
f32 = np.float32


def conv(net: Qdq, x: Codes) -> Codes:
    weight, scale = net.const(net.rng.integers(-127, 128, (8, 6, 3, 3)).astype(np.int8)), np.full(8, 0.002, f32)
    grid = net.grid(9 / 255, 128)
    inputs = [x.name, *x.grid, weight, net.const(scale), net.const(np.zeros(8, np.int8)), *grid]
    inputs.append(net.const(net.rng.integers(-900, 900, 8).astype(np.int32)))
    return Codes(net.node("QLinearConv", inputs, pads=[1, 1, 1, 1], strides=[2, 2]), 8, grid)


def pair(op: str) -> Callable[[Qdq, Codes], Codes]:
    def make(net: Qdq, x: Codes) -> Codes:
        y, grid = net.conv(x, 6), net.grid(9 / 255, 120)
        return Codes(net.node(op, [x.name, *x.grid, y.name, *y.grid, *grid], domain=MICROSOFT), 6, grid)

    return make


def single(op: str, scale: float, zero: int, **attributes: Any) -> Callable[[Qdq, Codes], Codes]:
    def make(net: Qdq, x: Codes) -> Codes:
        grid = net.grid(scale, zero)
        return Codes(net.node(op, [x.name, *x.grid, *grid], domain=MICROSOFT, **attributes), 6, grid)

    return make


def concat(net: Qdq, x: Codes) -> Codes:
    y, grid = net.conv(x, 6), net.grid(7 / 255, 120)
    inputs = [*grid, x.name, *x.grid, y.name, *y.grid]
    return Codes(net.node("QLinearConcat", inputs, domain=MICROSOFT, axis=1), 12, grid)


def matmul(net: Qdq, x: Codes) -> Codes:
    weight, grid = net.const(net.rng.integers(-127, 128, (7, 9)).astype(np.int8)), net.grid(9 / 255, 128)
    inputs = [x.name, *x.grid, weight, net.const(f32(0.004)), net.const(np.int8(0)), *grid]
    return Codes(net.node("QLinearMatMul", inputs), 6, grid)


def gemm(rounded: bool) -> Callable[[Qdq, Codes], Codes | str]:
    def make(net: Qdq, x: Codes) -> Codes | str:
        flat = net.node("Flatten", [x.name], axis=1)
        weight = net.const(net.rng.integers(-127, 128, (9, 6 * 49)).astype(np.int8))
        scales, grid = net.const(np.full(9, 0.001, f32)), net.grid(9 / 255, 128)
        inputs = [flat, *x.grid, weight, scales, net.const(np.zeros(9, np.int8))]
        inputs += [net.const(net.rng.integers(-900, 900, 9).astype(np.int32)), *(grid if rounded else ())]
        made = net.node("QGemm", inputs, domain=MICROSOFT, transB=1, alpha=1.0)
        return Codes(made, 9, grid) if rounded else made

    return make


CASES = {
    "QLinearConv": (conv, 4),
    "QLinearAdd": (pair("QLinearAdd"), 4),
    "QLinearMul": (pair("QLinearMul"), 4),
    "QLinearSigmoid": (single("QLinearSigmoid", 1 / 255, 0), 4),
    "QLinearLeakyRelu": (single("QLinearLeakyRelu", 3 / 255, 30, alpha=0.1), 4),
    "QLinearAveragePool": (single("QLinearAveragePool", 2 / 255, 128, kernel_shape=[2, 2]), 4),
    "QLinearGlobalAveragePool": (single("QLinearGlobalAveragePool", 1 / 255, 128, channels_last=0), 4),
    "QLinearConcat": (concat, 4),
    "QLinearMatMul": (matmul, 4),
    "QGemm": (gemm(True), 2),
    "QGemm to float32": (gemm(False), 2),
}


@pytest.mark.parametrize("case", CASES)
def test_the_same_codes_as_before(rng: np.random.Generator, case: str) -> None:
    make, rank = CASES[case]
    net = Qdq(rng, (6, 7, 7))
    model = net.model([make(net, net.start())], (rank,))
    before = model.SerializeToString()
    made = from_qlinear(model)
    assert model.SerializeToString() == before
    assert case.split(" ")[0] not in {node.op_type for node in made.graph.node}
    assert {opset.domain for opset in made.opset_import} == {""}
    x = rng.normal(size=(2, 6, 7, 7)).astype(f32)
    (want,), (got,) = outputs_of(model, {"input": x}), outputs_of(made, {"input": x})
    assert len(np.unique(want)) > 3
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=9.1 / 255 if case == "QLinearMatMul" else 1e-6)


def test_other_models_are_handed_back(rng: np.random.Generator) -> None:
    net = Qdq(rng, (6, 7, 7))
    model = net.model([net.conv(net.start(), 8)])
    assert from_qlinear(model) is model


def test_channels_last_and_computed_scales_stay(rng: np.random.Generator) -> None:
    net = Qdq(rng, (6, 7, 7))
    x = net.start()
    last = single("QLinearGlobalAveragePool", 1 / 255, 128, channels_last=1)(net, x)
    made = conv(net, x)
    scale = net.node("Identity", [net.nodes[-1].input[4]])
    node = net.nodes[-2]
    node.input[4] = scale
    net.nodes[-2:] = net.nodes[:-3:-1]
    kept = [one.op_type for one in from_qlinear(net.model([last, made], (4, 4))).graph.node]
    assert "QLinearGlobalAveragePool" in kept
    assert "QLinearConv" in kept
