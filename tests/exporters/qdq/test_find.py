"""What stands between DequantizeLinear and QuantizeLinear becomes a stage, or says why it does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from qdq_builder import Codes, Qdq

f32 = np.float32
Converted = Callable[..., tuple[list[str], Any]]
Refused = Callable[[onnx.ModelProto], dict[str, str]]


@pytest.fixture
def net(rng: np.random.Generator) -> Qdq:
    return Qdq(rng, (6, 9, 9))


def body(texts: list[str]) -> list[str]:
    """The stages of the only node without their sources, but for the first and the last."""
    assert len(texts) == 1
    return [word.split(":")[0] for word in texts[0].split(" ")][1:-1]


def clipped(net: Qdq, low: float, high: float, scale: float, zero: int) -> onnx.ModelProto:
    x = net.start()
    weight, scales = net.weight((8, 6, 1, 1))
    made = net.node("Conv", [net.real(x), weight, net.bias(x, scales)])
    made = net.node("Clip", [made, net.const(f32(low)), net.const(f32(high))])
    return net.model([net.codes(made, 8, scale, zero)])


def test_a_clip_at_the_ends_of_the_grid_is_saturation(net: Qdq, converted: Converted) -> None:
    assert body(converted(clipped(net, 0, 6, 6 / 255, 0))[0]) == ["QDenseConv"]


def test_a_clip_within_the_grid_is_a_table(net: Qdq, converted: Converted) -> None:
    assert body(converted(clipped(net, 0, 1, 6 / 255, 50), steps=1)[0]) == ["QDenseConv", "QTable"]


@pytest.mark.parametrize("op", ["Relu", "HardSwish", "Sigmoid", "LeakyRelu", "Tanh", "Elu"])
def test_an_activation_of_codes_is_a_table(net: Qdq, converted: Converted, op: str) -> None:
    model = net.model([net.op(op, [net.conv(net.start(), 8)], 3 / 255, 40)])
    assert body(converted(model, steps=1)[0]) == ["QDenseConv", "QTable"]


def test_a_product_with_a_function_of_itself_is_a_table(net: Qdq, converted: Converted) -> None:
    x = net.conv(net.start(), 8)
    model = net.model([net.op("Mul", [net.op("Sigmoid", [x], 1 / 255, 0), x])])
    assert body(converted(model)[0]) == ["QDenseConv", "QTable"]


def test_ops_of_numbers_are_a_table(net: Qdq, converted: Converted) -> None:
    x = net.real(net.conv(net.start(), 8))
    three = net.node("DequantizeLinear", [net.const(np.uint8(3)), net.const(f32(1)), net.const(np.uint8(0))])
    y = net.node("Clip", [net.node("Add", [x, three]), net.const(f32(0)), net.const(f32(6))])
    y = net.node("Div", [net.node("Mul", [y, x]), net.const(f32(6))])
    assert body(converted(net.model([net.codes(y, 8)]), steps=1)[0]) == ["QDenseConv", "QTable"]


def test_a_table_in_the_file_is_taken(net: Qdq, converted: Converted) -> None:
    x = net.conv(net.start(), 8)
    index = net.node("Cast", [x.name], to=TensorProto.INT32)
    table = net.const(net.rng.integers(0, 256, 256).astype(np.uint8))
    y = Codes(net.node("Gather", [table, index]), 8, net.grid(6 / 255, 128))
    assert body(converted(net.model([net.conv(y, 8, 3)]))[0]) == ["QDenseConv", "QTable", "QDenseConv"]


def test_the_same_codes_again_are_nothing(net: Qdq, converted: Converted) -> None:
    x = net.conv(net.start(), 8)
    again = Codes(net.node("QuantizeLinear", [net.real(x), *x.grid]), 8, x.grid)
    assert body(converted(net.model([net.conv(again, 8)]))[0]) == ["QDenseConv", "QDenseConv"]


def test_equal_roundings_are_one(net: Qdq, converted: Converted) -> None:
    x = net.start()
    weight, scales = net.weight((8, 6, 1, 1))
    real = net.node("Conv", [net.real(x), weight, net.bias(x, scales)])
    y = net.op("Add", [net.conv(net.codes(real, 8), 8), net.codes(real, 8)])
    assert body(converted(net.model([y]))[0]) == ["QDenseConv", "QDenseConv", "QAdd"]


@pytest.mark.parametrize(
    ("op", "attributes"),
    [("GlobalAveragePool", {}), ("AveragePool", {"kernel_shape": [9, 9]})],
)
def test_means_of_the_whole_image_are_pools(net: Qdq, converted: Converted, op: str, attributes: Any) -> None:
    model = net.model([net.op(op, [net.conv(net.start(), 40)], 1 / 255, 120, **attributes)])
    assert body(converted(model, steps=1)[0]) == ["QDenseConv", "QGlobalAveragePool"]


@pytest.mark.parametrize("keepdims", [0, 1])
def test_a_mean_over_both_sides_is_a_pool(net: Qdq, converted: Converted, keepdims: int) -> None:
    x = net.real(net.conv(net.start(), 40))
    pooled = net.node("ReduceMean", [x, net.const(np.array([2, -1], np.int64))], keepdims=keepdims)
    model = net.model([net.codes(pooled, 40, 1 / 255, 120)], (4 if keepdims else 2,))
    assert body(converted(model, steps=1)[0]) == ["QDenseConv", "QGlobalAveragePool"]


def test_a_pool_keeps_its_grid_and_is_rounded_after(net: Qdq, converted: Converted) -> None:
    x = net.conv(net.start(), 8)
    window = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    same = net.model([net.op("MaxPool", [x], **window)])
    assert body(converted(same)[0]) == ["QDenseConv", "QMaxPool"]
    other = net.model([net.op("MaxPool", [x], 4 / 255, 60, **window)])
    assert body(converted(other, steps=1)[0]) == ["QDenseConv", "QMaxPool", "QTable"]


def test_a_pool_of_codes_is_taken(net: Qdq, converted: Converted) -> None:
    x = net.conv(net.start(), 8)
    pooled = Codes(net.node("MaxPool", [x.name], kernel_shape=[2, 2], strides=[2, 2]), 8, x.grid)
    assert body(converted(net.model([net.conv(pooled, 8)]))[0]) == ["QDenseConv", "QMaxPool", "QDenseConv"]


def test_a_linear_layer_of_an_image_is_a_convolution(net: Qdq, converted: Converted) -> None:
    x = net.conv(net.start(), 4)
    model = net.model([net.codes(net.gemm(x, 30, 4 * 81), 30)], (2,))
    assert body(converted(model)[0]) == ["QDenseConv", "QDenseConv"]


def pooled(net: Qdq) -> Codes:
    x = net.op("GlobalAveragePool", [net.conv(net.start(), 12)], 1 / 255, 120)
    return Codes(net.node("Flatten", [x.name], axis=1), 12, x.grid)


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("rounded", [False, True])
def test_a_product_of_matrices_is_a_linear_layer(net: Qdq, converted: Converted, biased: bool, rounded: bool) -> None:
    x = pooled(net)
    weight, _ = net.weight((12, 30), axis=1)
    y = net.node("MatMul", [net.real(x), weight])
    y = net.node("Add", [net.const(net.rng.normal(size=30).astype(f32)), y]) if biased else y
    texts, made = converted(net.model([net.codes(y, 30) if rounded else y], (2,)), steps=1)
    assert texts[0].endswith("QDenseGemm:3 Dequantize:4" if rounded else "QDenseGemmFloat:3")
    assert made.layers[-1].op == ("QDenseGemm" if rounded else "QDenseGemmFloat")


def test_a_weight_in_the_other_orientation(net: Qdq, converted: Converted) -> None:
    x = pooled(net)
    weight, scales = net.weight((12, 30), axis=1)
    y = net.node("Gemm", [net.real(x), weight, net.bias(x, scales)])
    assert converted(net.model([y], (2,)))[0][0].endswith("QDenseGemmFloat:3")


def test_automatic_padding_is_worked_out(net: Qdq, converted: Converted) -> None:
    x = net.start()
    weight, scales = net.weight((8, 6, 3, 3))
    inputs = [net.real(x), weight, net.bias(x, scales)]
    y = net.node("Conv", inputs, auto_pad="SAME_UPPER", strides=[2, 2], kernel_shape=[3, 3])
    _, made = converted(net.model([net.codes(y, 8)]))
    attributes = {one.name: helper.get_attribute_value(one) for one in made.model.graph.node[0].attribute}
    assert attributes["pads_1"] == [1, 1, 1, 1]


def test_an_input_of_codes(rng: np.random.Generator, converted: Converted) -> None:
    net = Qdq(rng, (6, 9, 9))
    grid = net.grid(6 / 255, 128)
    model = net.model([net.conv(Codes("codes", 6, grid), 8)])
    del model.graph.input[:]
    model.graph.input.append(helper.make_tensor_value_info("codes", TensorProto.UINT8, ["batch", 6, 9, 9]))
    codes = rng.integers(0, 256, (2, 6, 9, 9)).astype(np.uint8)
    assert body(converted(model, codes=codes)[0]) == ["QDenseConv"]


@pytest.mark.parametrize(("outputs", "groups"), [(8, 2), (9, 3), (12, 6)])
def test_a_grouped_convolution_has_zeros_between_its_groups(
    net: Qdq, converted: Converted, outputs: int, groups: int
) -> None:
    inside = 6 // groups
    weight, scales = net.weight((outputs, inside, 3, 3), density=1.0)
    x = net.start()
    made = net.node("Conv", [net.real(x), weight, net.bias(x, scales)], group=groups, pads=[1, 1, 1, 1])
    texts, found = converted(net.model([net.codes(made, outputs)]))
    assert body(texts) == ["QDenseConv"]
    (layer,) = found.layers
    assert layer.shape == (outputs, inside, 3, 3)
    assert layer.macs_dense == outputs * inside * 9 * 81
    assert layer.macs == groups * layer.macs_dense
    assert layer.sparsity < 0.1


def test_a_grouped_convolution_of_too_many_channels_is_refused(
    net: Qdq, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporters.qdq.products._MOST_WEIGHTS", 53)
    model = net.model([net.codes(odd_conv(net, net.real(net.start()), 9, group=3), 9)])
    assert list(refused(model).values()) == ["it is a grouped convolution of too many channels"]


def odd_conv(net: Qdq, real: str, outputs: int = 8, **attributes: Any) -> str:
    weight, _ = net.weight((outputs, 6 // attributes.get("group", 1), 1, 1))
    return net.node("Conv", [real, weight], **attributes)


def not_rounded(net: Qdq) -> str:
    return net.node("HardSwish", [odd_conv(net, net.real(net.start()))])


def read_before(net: Qdq) -> str:
    made = odd_conv(net, net.real(net.start()))
    return net.node("Add", [made, net.real(net.codes(made, 8))])


def of_float32(net: Qdq) -> str:
    return odd_conv(net, "input")


def float_weight(net: Qdq) -> str:
    return net.node("Conv", [net.real(net.start()), net.const(np.ones((8, 6, 1, 1), f32))])


def by_inputs(net: Qdq) -> str:
    weight, _ = net.weight((8, 6, 1, 1), axis=1)
    return net.node("Conv", [net.real(net.start()), weight])


def a_scale_of_zero(net: Qdq) -> str:
    values, scales = net.const(np.ones((8, 6, 1, 1), np.int8)), net.const(np.zeros(8, f32))
    return net.node("Conv", [net.real(net.start()), net.node("DequantizeLinear", [values, scales], axis=0)])


def too_large(net: Qdq) -> str:
    x = net.start()
    largest, unit = net.const(np.full(8, 2**31 - 1, np.int32)), net.const(np.full(8, 1e-9, f32))
    weight = net.node("DequantizeLinear", [net.const(np.ones((8, 6, 1, 1), np.int8)), net.const(f32(1e-9 * 255 / 6))])
    return net.node("Conv", [net.real(x), weight, net.node("DequantizeLinear", [largest, unit], axis=0)])


def of_a_fine_grid(net: Qdq) -> str:
    grid = [net.const(f32(1e-4)), net.const(np.uint16(9))]
    codes = net.node("QuantizeLinear", ["input", *grid])
    return odd_conv(net, net.node("DequantizeLinear", [codes, *grid]))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (not_rounded, "not rounded to integers"),
        (read_before, "read before it is rounded"),
        (of_float32, "it reads float32 numbers"),
        (float_weight, "its weight is not quantised"),
        (by_inputs, "along another dimension"),
        (a_scale_of_zero, "not a positive number"),
        (too_large, "could exceed int32"),
        (of_a_fine_grid, "its input has a grid"),
    ],
)
def test_what_does_not_fit_says_why(net: Qdq, refused: Refused, make: Callable[[Qdq], str], words: str) -> None:
    real = make(net)
    outputs: list[Codes | str] = [real if make in (not_rounded, read_before) else net.codes(real, 8)]
    model = net.model(outputs, opset=21)
    reasons = refused(model)
    assert len(reasons) == 1
    assert words in next(iter(reasons.values()))
