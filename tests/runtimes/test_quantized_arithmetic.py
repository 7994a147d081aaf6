"""The arithmetic of the int8 ops against that of ONNX Runtime's own operators on bytes, over all pairs of bytes.

``runtimes/native/edge.h`` states each formula with the order of its roundings. ONNX Runtime's sums contract a
multiplication and an addition where the processor can: without that, ties may round to the other side.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import quantized_oracle as oracle
from onnx import TensorProto, helper

import runtimes
from runtimes.quantized import Grid

BYTES, FLOATS = TensorProto.UINT8, TensorProto.FLOAT
EVERY = np.arange(65536)
A, B = ((part.reshape(256, 256)).astype(np.uint8) for part in (EVERY // 256, EVERY % 256))
CONTRACTS = "avx2" in runtimes.isas() or runtimes.host_platform().endswith("aarch64")


def operator(op: str, inputs: dict[str, int], domain: str = "com.microsoft", **attributes: Any) -> ort.InferenceSession:
    """A session of one operator, whose inputs have these types."""
    out = FLOATS if op == "DequantizeLinear" else BYTES
    graph = helper.make_graph(
        [helper.make_node(op, [*inputs], ["Y"], domain=domain, **attributes)],
        "operator",
        [helper.make_tensor_value_info(name, kind, None) for name, kind in inputs.items()],
        [helper.make_tensor_value_info("Y", out, None)],
    )
    opsets = [helper.make_opsetid("", 19), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, ir_version=10, opset_imports=opsets)
    return runtimes.dense_session(model.SerializeToString())


def grid_inputs(**grids: Grid) -> dict[str, np.ndarray]:
    """The inputs <name>_scale and <name>_zero of each grid."""
    scales = {f"{name}_scale": np.array(grid.scale, np.float32) for name, grid in grids.items()}
    return scales | {f"{name}_zero": np.array(grid.zero, np.uint8) for name, grid in grids.items()}


def random_grids(rng: np.random.Generator, count: int, spread: float = 3) -> list[Grid]:
    return [
        Grid(float(np.float32(np.exp(rng.uniform(-spread, spread) - 3))), int(rng.choice([0, 255, rng.integers(256)])))
        for _ in range(count)
    ]


def triples(rng: np.random.Generator, count: int) -> Iterator[list[Grid]]:
    """Grids of two inputs and of an output; of every second triple the scales are ratios of two, with many ties."""
    for turn in range(count):
        a, b, y = random_grids(rng, 3)
        if turn % 2:
            a, b = (Grid(y.scale * float(rng.choice([0.25, 0.5, 1, 2])), one.zero) for one in (a, b))
        yield [a, b, y]


PAIR = {"a": BYTES, "a_scale": FLOATS, "a_zero": BYTES, "b": BYTES, "b_scale": FLOATS, "b_zero": BYTES,
        "y_scale": FLOATS, "y_zero": BYTES}  # fmt: skip


def test_sums() -> None:
    session, differ = operator("QLinearAdd", PAIR), 0
    for a, b, y in triples(np.random.default_rng(1), 24):
        (got,) = session.run(None, {"a": A, "b": B, **grid_inputs(a=a, b=b, y=y)})
        want = oracle.add(A, B, a, b, y)
        assert np.abs(got.astype(int) - want).max() <= 1
        differ += int((got != want).sum())
    assert differ <= (0 if CONTRACTS else 24 * 65536 // 10_000)


def test_products() -> None:
    """Of all pairs, and of an image with a factor for each channel."""
    session, rng = operator("QLinearMul", PAIR), np.random.default_rng(2)
    x, factor = (
        rng.integers(0, 256, (2, 7, 11, 9)).astype(np.uint8),
        rng.integers(0, 256, (2, 7, 1, 1)).astype(np.uint8),
    )
    for a, b, y in triples(rng, 24):
        for first, second in ((A, B), (x, factor)):
            (got,) = session.run(
                None, {"a": first, "b": second, **grid_inputs(a=a, b=Grid(b.scale / y.scale, b.zero), y=y)}
            )
            np.testing.assert_array_equal(got, oracle.mul(first, second, a, Grid(b.scale / y.scale, b.zero), y))


def test_means() -> None:
    inputs = {"x": BYTES, "x_scale": FLOATS, "x_zero": BYTES, "y_scale": FLOATS, "y_zero": BYTES}
    session, rng = operator("QLinearGlobalAveragePool", inputs, channels_last=0), np.random.default_rng(3)
    for turn in range(40):
        x_grid, y_grid = random_grids(rng, 2, 0.7)
        x = rng.integers(0, 256, (2, 9, 1 + turn % 14, 1 + turn % 9)).astype(np.uint8)
        (got,) = session.run(None, {"x": x, **grid_inputs(x=x_grid, y=y_grid)})
        np.testing.assert_array_equal(got, oracle.global_average_pool(x, x_grid, y_grid))


@pytest.mark.parametrize("depthwise", [False, True])
def test_convolutions(depthwise: bool) -> None:
    inputs = {"x": BYTES, "x_scale": FLOATS, "x_zero": BYTES, "w": TensorProto.INT8, "w_scale": FLOATS,
              "w_zero": TensorProto.INT8, "y_scale": FLOATS, "y_zero": BYTES, "bias": TensorProto.INT32}  # fmt: skip
    group = {"group": 12} if depthwise else {}
    session, rng = operator("QLinearConv", inputs, "", pads=[1, 1, 1, 1], **group), np.random.default_rng(4)
    for _ in range(6):
        x_grid, y_grid = random_grids(rng, 2, 0.5)
        x = rng.integers(0, 256, (2, 12, 9, 10)).astype(np.uint8)
        w = rng.integers(-127, 128, (12, 1 if depthwise else 12, 3, 3)).astype(np.int8)
        w_scale, bias = rng.uniform(1e-4, 1e-2, 12).astype(np.float32), rng.integers(-9999, 9999, 12).astype(np.int32)
        feeds = {"x": x, "w": w, "w_scale": w_scale, "w_zero": np.zeros(12, np.int8), "bias": bias}
        (got,) = session.run(None, feeds | grid_inputs(x=x_grid, y=y_grid))
        window = {"pads": (1, 1, 1, 1), "depthwise": depthwise}
        np.testing.assert_array_equal(got, oracle.conv(x, w, w_scale, bias, (x_grid, y_grid), **window))


def test_floats_in_and_out() -> None:
    """NaN becomes 0, whatever the zero point is."""
    special = np.array([np.nan, np.inf, -np.inf, -0.0, 1e-45, 1e38, -1e38, 3e9, -3e9], np.float32)
    inputs = {"x": FLOATS, "y_scale": FLOATS, "y_zero": BYTES}
    session, rng = operator("QuantizeLinear", inputs, ""), np.random.default_rng(5)
    back = operator("DequantizeLinear", inputs | {"x": BYTES}, "")
    for grid in random_grids(rng, 30):
        halves = (np.arange(-2, 514) / 2 - grid.zero).astype(np.float32) * np.float32(grid.scale)
        x = np.concatenate([special, halves, rng.normal(0, 100 * grid.scale, 999).astype(np.float32)])
        for part in (x, x[:9], x[3:20]):
            (got,) = session.run(None, {"x": part, **grid_inputs(y=grid)})
            np.testing.assert_array_equal(got, oracle.quantize(part, grid))
        (floats,) = back.run(None, {"x": B, **grid_inputs(y=grid)})
        np.testing.assert_array_equal(floats.view(np.int32), oracle.dequantize(B, grid).view(np.int32))
