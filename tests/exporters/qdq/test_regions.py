"""Parts of a network that make one node: as large as values that others read allow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from qdq_builder import Codes, Qdq

from exporters.qdq.regions import MOST_STEPS

Converted = Callable[..., tuple[list[str], Any]]


@pytest.fixture
def net(rng: np.random.Generator) -> Qdq:
    return Qdq(rng, (6, 7, 7))


def test_residuals_are_within_a_part(net: Qdq, converted: Converted) -> None:
    x = net.conv(net.start(), 8)
    for _ in range(2):
        x = net.op("Add", [x, net.conv(net.conv(x, 12), 8)], 9 / 255)
    texts, _ = converted(net.model([x]))
    assert texts == [
        "Quantize:0 QDenseConv:1 QDenseConv:2 QDenseConv:3 QAdd:2+4 QDenseConv:5 QDenseConv:6 QAdd:5+7 Dequantize:8"
    ]


def test_a_part_ends_where_two_outputs_leave(net: Qdq, converted: Converted) -> None:
    x = net.conv(net.conv(net.start(), 8), 8)
    texts, made = converted(net.model([net.conv(x, 5), net.conv(net.conv(x, 8), 9)], (4, 4)))
    assert texts == [
        "Quantize:0 QDenseConv:1 QDenseConv:2 Dequantize:3",
        "Quantize:0 QDenseConv:1 Dequantize:2",
        "Quantize:0 QDenseConv:1 QDenseConv:2 Dequantize:3",
    ]
    assert [node.op_type for node in made.model.graph.node] == ["QSequence", "QSequence2", "QSequence"]


def test_a_value_that_leaves_in_the_middle_ends_a_part(net: Qdq, converted: Converted) -> None:
    x = net.conv(net.start(), 8)
    texts, _ = converted(net.model([x, net.conv(x, 9)], (4, 4)))
    assert texts == ["Quantize:0 QDenseConv:1 Dequantize:2"] * 2


def test_other_ops_stand_between_parts(net: Qdq, converted: Converted) -> None:
    x = net.conv(net.start(), 8)
    both = net.op("Concat", [net.conv(x, 8), net.conv(x, 8, 3)], axis=1)
    texts, made = converted(net.model([net.conv(Codes(both.name, 16, both.grid), 6)]))
    assert texts == ["Quantize:0 QDenseConv:1 Dequantize:2"] * 4
    assert sum(node.op_type == "Concat" for node in made.model.graph.node) == 1


def test_steps_that_join_two_parts_stay(net: Qdq, converted: Converted) -> None:
    x = net.conv(net.start(), 8)
    y = net.op("Softsign", [net.op("Softmax", [x], axis=1)])
    texts, made = converted(net.model([net.op("Add", [x, y])]), steps=1)
    assert texts == ["Quantize:0 QDenseConv:1 Dequantize:2"]
    assert {"Add", "Softmax"} <= {node.op_type for node in made.model.graph.node}


def test_a_long_network_is_cut(rng: np.random.Generator, converted: Converted) -> None:
    net = Qdq(rng, (4, 2, 2))
    x = net.start()
    for _ in range(MOST_STEPS + 4):
        x = net.conv(x, 4, density=1.0)
    texts, made = converted(net.model([x]))
    assert [text.count("QDenseConv") for text in texts] == [MOST_STEPS, 4]
    assert len({node.op_type for node in made.model.graph.node}) == 2


def test_codes_are_handed_out_as_codes(net: Qdq, converted: Converted) -> None:
    x = net.conv(net.start(), 8)
    model = net.model([x])
    del model.graph.node[-1]
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(x.name, TensorProto.UINT8, ["batch", 8, 7, 7]))
    texts, made = converted(model)
    assert texts == ["Quantize:0 QDenseConv:1 Dequantize:2"]
    assert [node.op_type for node in made.model.graph.node] == ["QSequence", "QuantizeLinear"]
    assert made.model.graph.output[0].name == x.name


def test_int8_codes_are_handed_out_as_int8(rng: np.random.Generator, converted: Converted) -> None:
    net = Qdq(rng, (6, 7, 7), np.int8)
    x = net.conv(net.start(), 8)
    model = net.model([x])
    del model.graph.node[-1]
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(x.name, TensorProto.INT8, ["batch", 8, 7, 7]))
    assert converted(model)[0] == ["Quantize:0 QDenseConv:1 Dequantize:2"]


def test_a_matrix_is_made_an_image(rng: np.random.Generator, converted: Converted) -> None:
    net = Qdq(rng, (12,))
    hidden = net.codes(net.gemm(net.start(), 20), 20)
    model = net.model([net.codes(net.gemm(hidden, 30), 30)], (2,))
    texts, made = converted(model)
    assert texts == ["Quantize:0 QDenseGemm:1 QDenseGemm:2 Dequantize:3"]
    assert [node.op_type for node in made.model.graph.node] == ["Reshape", "QSequence", "Flatten"]


def test_names_are_told_and_the_output_keeps_its_own(net: Qdq, converted: Converted) -> None:
    model = net.model([net.conv(net.conv(net.start(), 8), 8)])
    _, made = converted(model)
    layers = [node.name for node in model.graph.node if node.op_type == "Conv"]
    assert made.model.graph.node[0].name == "+".join(layers)
    assert [layer.name for layer in made.layers] == layers
    assert made.model.graph.output[0].name == model.graph.output[0].name
