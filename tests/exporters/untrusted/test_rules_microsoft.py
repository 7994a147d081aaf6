"""Shapes of ONNX Runtime's own operators are those that ONNX Runtime makes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from stock import outputs_of

from exporters import MalformedModelError, TooLargeError, UnsupportedOpError, load
from exporters.untrusted.node_view import NodeView
from exporters.untrusted.rules_microsoft import MICROSOFT, OPERATORS

RNG = np.random.default_rng(0)
SCALE, ZERO = np.array(0.1, np.float32), np.array(3, np.uint8)


def floats(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


def codes(*shape: int) -> Any:
    return RNG.integers(0, 9, shape).astype(np.uint8)


IMAGE, GRID = codes(1, 3, 6, 5), (SCALE, ZERO)
PER_COLUMN = (np.full(4, 0.1, np.float32), np.zeros(4, np.uint8))
SOUND: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("BiasGelu", [floats(2, 3), floats(3)], {}),
    ("DequantizeLinear", [IMAGE, *GRID], {}),
    ("DynamicQuantizeMatMul", [floats(2, 3), codes(3, 4), *PER_COLUMN, floats(4)], {}),
    ("FastGelu", [floats(2, 3), floats(3)], {}),
    ("FusedConv", [floats(1, 3, 6, 5), floats(4, 3, 3, 3), floats(4)], {"activation": "Relu", "strides": [2, 1]}),
    ("FusedGemm", [floats(2, 3), floats(4, 3), floats(4)], {"activation": "Relu", "transB": 1}),
    ("FusedMatMul", [floats(2, 3, 5), floats(2, 4, 3)], {"transA": 1, "transB": 1}),
    ("Gelu", [floats(2, 3)], {}),
    ("MatMulIntegerToFloat", [codes(2, 3), codes(3, 4), SCALE, PER_COLUMN[0], ZERO, PER_COLUMN[1], floats(4)], {}),
    ("QGemm", [codes(2, 3), *GRID, codes(4, 3), *GRID, np.zeros(4, np.int32), *GRID], {"transB": 1}),
    ("QLinearAdd", [IMAGE, *GRID, codes(3, 1, 1), *GRID, *GRID], {}),
    ("QLinearAveragePool", [IMAGE, *GRID, *GRID], {"kernel_shape": [3, 2], "strides": [2, 2]}),
    ("QLinearConcat", [*GRID, IMAGE, *GRID, IMAGE[:, :2], *GRID], {"axis": 1}),
    ("QLinearGlobalAveragePool", [IMAGE, *GRID, *GRID], {}),
    ("QLinearLeakyRelu", [IMAGE, *GRID, *GRID], {"alpha": 0.2}),
    ("QLinearMul", [IMAGE, *GRID, IMAGE, *GRID, *GRID], {}),
    ("QLinearSigmoid", [IMAGE, *GRID, *GRID], {}),
    ("QuantizeLinear", [floats(2, 3), *GRID], {}),
    ("QuickGelu", [floats(2, 3)], {}),
    ("SkipLayerNormalization", [floats(2, 3, 4), floats(2, 3, 4), floats(4), floats(4)], {}),
    ("SkipSimplifiedLayerNormalization", [floats(2, 3, 4), floats(3, 4), floats(4)], {}),
]
WRONG: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("BiasGelu", [floats(2, 3), floats(2)], {}),
    ("DynamicQuantizeMatMul", [floats(2, 3), codes(4, 4), SCALE], {}),
    ("FusedConv", [floats(1, 3, 6, 5), floats(4, 3, 3, 3), None, floats(1, 4, 6, 5)], {}),
    ("FusedMatMul", [floats(2, 3), floats(4, 3)], {}),
    ("FusedMatMul", [floats(2, 3), floats(3, 4)], {"transBatchA": 1}),
    ("MatMulIntegerToFloat", [codes(2, 3), codes(3, 4), SCALE, floats(3)], {}),
    ("QGemm", [codes(2, 3), *GRID, codes(4, 3), *GRID], {}),
    ("QLinearAdd", [IMAGE, *GRID, codes(2, 1, 1), *GRID, *GRID], {}),
    ("QLinearAdd", [IMAGE, floats(3), ZERO, IMAGE, *GRID, *GRID], {}),
    ("QLinearAveragePool", [IMAGE, *GRID, *GRID], {"kernel_shape": [9, 2]}),
    ("QLinearConcat", [*GRID, IMAGE, *GRID, IMAGE[:, :, :2], *GRID], {"axis": 1}),
    ("QLinearConcat", [*GRID, IMAGE, *GRID, IMAGE], {"axis": 1}),
    ("QLinearGlobalAveragePool", [IMAGE, *GRID, *GRID], {"channels_last": 1}),
    ("QLinearSigmoid", [IMAGE, floats(3), ZERO, *GRID], {}),
    ("SkipLayerNormalization", [floats(2, 3, 4), floats(2, 4), floats(4)], {}),
    ("SkipLayerNormalization", [floats(2, 3, 4), floats(2, 3, 4), floats(3)], {}),
]


def model_of(op: str, inputs: list[Any], attributes: dict[str, Any]) -> tuple[onnx.ModelProto, dict[str, Any]]:
    feeds = {f"x{index}": array for index, array in enumerate(inputs)}
    values = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in feeds.items()
    ]
    node = helper.make_node(op, list(feeds), ["y"], domain=MICROSOFT, **attributes)
    graph = helper.make_graph([node], "g", values, [onnx.ValueInfoProto(name="y")])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, ir_version=9, opset_imports=opsets), feeds


def bound(op: str, inputs: list[Any], attributes: dict[str, Any]) -> tuple[int, ...]:
    given = {name: helper.make_attribute(name, value) for name, value in attributes.items()}
    shapes = tuple(None if array is None else array.shape for array in inputs)
    found = OPERATORS[op].rule(NodeView("n", op, shapes, {}, given))
    return found[0] if isinstance(found, list) else found


@pytest.mark.parametrize(("op", "inputs", "attributes"), SOUND)
def test_sizes_are_those_that_the_runtime_makes(op: str, inputs: list[Any], attributes: dict[str, Any]) -> None:
    model, feeds = model_of(op, inputs, attributes)
    assert bound(op, inputs, attributes) == outputs_of(model, feeds)[0].shape


def test_each_operator_is_held_against_the_runtime() -> None:
    assert {op for op, _, _ in SOUND} == set(OPERATORS)


@pytest.mark.parametrize(("op", "inputs", "attributes"), WRONG)
def test_contradictions_are_refused(op: str, inputs: list[Any], attributes: dict[str, Any]) -> None:
    with pytest.raises(MalformedModelError, match="has no shape"):
        bound(op, inputs, attributes)


def test_a_file_of_them_is_read(tmp_path: Path) -> None:
    model, _ = model_of("QLinearAdd", [IMAGE, *GRID, IMAGE, *GRID, *GRID], {})
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.UINT8, IMAGE.shape))
    onnx.save(model, tmp_path / "model.onnx")
    assert load(tmp_path / "model.onnx") == model


def test_what_they_ask_for_is_bounded(refuse: Callable) -> None:
    model, _ = model_of("FusedMatMul", [floats(2**10, 1), floats(1, 2**10)], {})
    for value in model.graph.input:
        for dim in value.type.tensor_type.shape.dim:
            dim.dim_value = 2**17 if dim.dim_value > 1 else 1
    assert "bytes of memory" in refuse(model, TooLargeError)


@pytest.mark.parametrize(
    ("op", "attributes", "error", "words"),
    [
        ("Attention", {}, UnsupportedOpError, "is a com.microsoft:Attention"),
        ("Gelu", {"axis": 1}, MalformedModelError, "no such attribute 'axis'"),
        ("FusedMatMul", {"transA": 1.0}, MalformedModelError, "no such attribute 'transA'"),
        ("QGemm", {}, MalformedModelError, "has 2 inputs"),
    ],
)
def test_others_and_other_forms_of_them_are_refused(
    refuse: Callable, op: str, attributes: dict[str, Any], error: type[Exception], words: str
) -> None:
    inputs = [floats(2, 3)] if op == "Gelu" else [floats(2, 3), floats(3, 4)]
    assert words in refuse(model_of(op, inputs, attributes)[0], error)
