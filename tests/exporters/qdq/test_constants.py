"""Integers and scales of weights and biases, in each form that files hold them in."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from exporters.ops import initializer
from exporters.qdq.constants import Unfit, Weight, bias_of, weight_of

f32 = np.float32
CODES = np.array([[1, -2, 3, 0], [4, 5, -6, 7]], np.int8)
SCALES = np.array([0.5, 0.25], f32)


GRAPH = ir.Graph([], [], nodes=[], name="constants")


def const(array: Any) -> ir.Value:
    value = initializer(f"c{len(GRAPH.initializers)}", np.asarray(array))
    GRAPH.register_initializer(value)
    return value


def dequantized(codes: Any, scale: Any, zero: Any | None = None, **attributes: Any) -> ir.Value:
    inputs = [
        codes if isinstance(codes, ir.Value) else const(codes),
        const(scale),
        *([] if zero is None else [const(zero)]),
    ]
    return ir.node("DequantizeLinear", inputs, attributes=attributes).outputs[0]


def test_an_int8_initializer() -> None:
    found = weight_of(dequantized(CODES, SCALES, axis=0), 0)
    np.testing.assert_array_equal(found.values, CODES)
    np.testing.assert_array_equal(found.scales, SCALES)


def test_one_scale_for_all() -> None:
    found = weight_of(dequantized(CODES, f32(0.5), np.int8(0)), 0)
    np.testing.assert_array_equal(found.scales, [0.5, 0.5])


def test_outputs_along_the_last_dimension() -> None:
    found = weight_of(dequantized(CODES.T, SCALES, axis=1), 1)
    np.testing.assert_array_equal(found.values, CODES)
    found = weight_of(dequantized(CODES.T, SCALES, axis=-1), 1)
    np.testing.assert_array_equal(found.values, CODES)


def test_a_transposed_weight() -> None:
    turned = ir.node("Transpose", [dequantized(CODES, SCALES, axis=0)], attributes={"perm": [1, 0]}).outputs[0]
    found = weight_of(turned, 1)
    np.testing.assert_array_equal(found.values, CODES)
    np.testing.assert_array_equal(found.scales, SCALES)


def test_uint8_numbers_around_their_zero_point() -> None:
    found = weight_of(dequantized((CODES.astype(int) + 128).astype(np.uint8), f32(0.5), np.uint8(128)), 0)
    np.testing.assert_array_equal(found.values, CODES)


def test_float32_numbers_that_are_rounded_in_the_file() -> None:
    real = CODES * SCALES[:, None] + f32(0.01)
    inputs = [const(real), const(SCALES), const(np.zeros(2, np.int8))]
    codes = ir.node("QuantizeLinear", inputs, attributes={"axis": 0}).outputs[0]
    found = weight_of(dequantized(codes, SCALES, np.zeros(2, np.int8), axis=0), 0)
    np.testing.assert_array_equal(found.values, CODES)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (const(CODES.astype(f32)), "not quantised"),
        (dequantized(CODES, np.ones(4, f32), axis=1), "along another dimension"),
        (dequantized(CODES.view(np.uint8), f32(0.5), np.uint8(0)), "do not fit int8"),
        (dequantized(CODES, np.array([0.5, np.nan], f32), axis=0), "not a positive number"),
        (dequantized(CODES, np.array([0.5, -1], f32), axis=0), "not a positive number"),
        (dequantized(CODES, SCALES, np.zeros(3, np.int8), axis=0), "another number of zero points"),
    ],
)
def test_other_weights_say_why(value: ir.Value, words: str) -> None:
    with pytest.raises(Unfit, match=words):
        weight_of(value, 0)


WEIGHT = Weight(CODES, SCALES)


def test_a_bias_on_the_grid_keeps_its_integers() -> None:
    unit = f32(0.1) * SCALES
    held = dequantized(np.array([7, -9], np.int32), unit, axis=0)
    np.testing.assert_array_equal(bias_of(held, f32(0.1), WEIGHT), [7, -9])


def test_a_bias_on_another_grid_or_of_float32_is_rounded() -> None:
    held = dequantized(np.array([7, -9], np.int32), f32(0.1))
    np.testing.assert_array_equal(bias_of(held, f32(0.1), WEIGHT), [14, -36])
    np.testing.assert_array_equal(bias_of(const(np.array([0.7, -0.9], f32)), f32(0.1), WEIGHT), [14, -36])


def test_no_bias_is_zero() -> None:
    np.testing.assert_array_equal(bias_of(None, f32(0.1), WEIGHT), [0, 0])


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (const(np.ones(3, f32)), "not one float32 number an output"),
        (const(np.array([np.nan, 0], f32)), "does not fit int32"),
        (const(np.array([1e30, 0], f32)), "does not fit int32"),
        (dequantized(np.ones(3, np.int32), f32(0.1)), "not one number an output"),
        (ir.node("Relu", [const(np.ones(2, f32))]).outputs[0], "computed by the network"),
    ],
)
def test_other_biases_say_why(value: ir.Value, words: str) -> None:
    with pytest.raises(Unfit, match=words):
        bias_of(value, f32(0.1), WEIGHT)


def test_scales_whose_product_vanishes_say_why() -> None:
    with pytest.raises(Unfit, match="too small"):
        bias_of(None, f32(1e-30), Weight(CODES, np.full(2, 1e-30, f32)))
