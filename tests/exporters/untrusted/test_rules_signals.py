"""Shapes of spectra, columns and sampled images are those that ONNX's reference makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from shape_rules import bounds, made

from exporters.errors import MalformedModelError, TooLargeError
from exporters.untrusted.shapes import RULES, WHY_NOT

RNG = np.random.default_rng(0)


def floats(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


def whole(*entries: int) -> Any:
    return np.array(entries, np.int64)


SIGNAL, IMAGE = floats(2, 12, 1), floats(2, 3, 4, 5)
DEFORMED = [IMAGE, floats(4, 3, 2, 2), floats(2, 8, 3, 4), floats(4)]
SOUND: list[tuple[str, list[Any], dict[str, Any], int]] = [
    ("AffineGrid", [floats(2, 2, 3), whole(2, 3, 5, 6)], {}, 20),
    ("AffineGrid", [floats(2, 3, 4), whole(2, 3, 4, 5, 6)], {}, 20),
    ("CenterCropPad", [IMAGE, whole(6, 2)], {"axes": [2, 3]}, 18),
    ("CenterCropPad", [IMAGE, whole(1, 2, 3, 9)], {}, 18),
    ("Col2Im", [floats(1, 12, 6), whole(4, 4), whole(2, 2)], {"strides": [1, 2]}, 18),
    ("Col2Im", [floats(1, 8, 5), whole(5), whole(4)], {"pads": [2, 1]}, 18),
    ("DFT", [SIGNAL], {}, 20),
    ("DFT", [SIGNAL, whole(20).reshape(()), whole(1).reshape(())], {"onesided": 1}, 20),
    ("DFT", [floats(2, 12, 2)], {"inverse": 1, "axis": 1}, 17),
    ("DeformConv", DEFORMED, {}, 22),
    ("MaxRoiPool", [IMAGE, floats(7, 5)], {"pooled_shape": [2, 3]}, 22),
    ("MaxUnpool", [IMAGE, np.zeros((2, 3, 4, 5), np.int64)], {"kernel_shape": [2, 2], "strides": [2, 2]}, 22),
    ("MaxUnpool", [IMAGE, np.zeros((2, 3, 4, 5), np.int64), whole(2, 3, 9, 11)], {"kernel_shape": [2, 2]}, 22),
    ("MelWeightMatrix", [*map(np.array, (8, 16, 8000)), np.array(0.0, np.float32), np.array(4e3, np.float32)], {}, 17),
    ("Multinomial", [floats(2, 5)], {"sample_size": 4}, 22),
    ("RandomNormal", [], {"shape": [2, 3]}, 22),
    ("RandomUniform", [], {"shape": [3, 0]}, 22),
    ("STFT", [SIGNAL, whole(2).reshape(()), None, whole(5).reshape(())], {}, 17),
    ("STFT", [SIGNAL, whole(3).reshape(()), np.ones(4, np.float32)], {"onesided": 0}, 17),
]
WITHOUT_REFERENCE = {"MaxRoiPool": (7, 3, 2, 3), "Multinomial": (2, 4)}
"""Operators that onnx.reference lacks, by the specification."""
WRONG: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("AffineGrid", [floats(2, 2, 3), whole(3, 3, 5, 6)], {}),
    ("AffineGrid", [floats(2, 2, 3), floats(4)], {}),
    ("CenterCropPad", [IMAGE, whole(6, 2)], {}),
    ("Col2Im", [floats(1, 12, 7), whole(4, 4), whole(2, 2)], {}),
    ("Col2Im", [floats(1, 12, 0), whole(4, 4), whole(0, 2)], {}),
    ("DFT", [floats(2, 12, 3)], {}),
    ("DFT", [SIGNAL, whole(0).reshape(())], {}),
    ("DFT", [SIGNAL, None, whole(2).reshape(())], {}),
    ("DeformConv", [*DEFORMED[:2], floats(2, 8, 3, 5)], {}),
    ("DeformConv", DEFORMED, {"offset_group": 2}),
    ("MaxRoiPool", [IMAGE, floats(7, 4)], {"pooled_shape": [2, 3]}),
    ("MaxUnpool", [IMAGE, whole(1, 2)], {"kernel_shape": [2, 2]}),
    ("MelWeightMatrix", [np.array(-1), np.array(16), np.array(8000)], {}),
    ("Multinomial", [floats(2, 5)], {"sample_size": 0}),
    ("RandomNormal", [], {}),
    ("RandomNormal", [], {"shape": [-1]}),
    ("STFT", [SIGNAL, whole(0).reshape(()), None, whole(5).reshape(())], {}),
    ("STFT", [SIGNAL, whole(1).reshape(()), None, whole(13).reshape(())], {}),
    ("STFT", [SIGNAL, whole(1).reshape(())], {}),
]


@pytest.mark.parametrize(("op", "inputs", "attributes", "opset"), SOUND)
def test_sizes_are_exact(op: str, inputs: list[Any], attributes: dict[str, Any], opset: int) -> None:
    found = bounds(op, inputs, attributes, opset=opset)
    want = [WITHOUT_REFERENCE[op]] if op in WITHOUT_REFERENCE else made(op, inputs, attributes, opset=opset)
    assert found == want


@pytest.mark.parametrize(("op", "inputs", "attributes"), WRONG)
def test_contradictions_are_refused(op: str, inputs: list[Any], attributes: dict[str, Any]) -> None:
    with pytest.raises(MalformedModelError, match="has no shape"):
        bounds(op, inputs, attributes)


@pytest.mark.parametrize(
    ("node", "arrays"),
    [
        (helper.make_node("RandomNormal", [], ["y"], shape=[2**20, 2**20]), {}),
        (helper.make_node("Multinomial", ["x"], ["y"], sample_size=2**31), {}),
        (helper.make_node("CenterCropPad", ["x", "s"], ["y"], axes=[0]), {"s": whole(2**35)}),
        (helper.make_node("DFT", ["x", "s"], ["y"]), {"s": np.array(2**35)}),
        (helper.make_node("MelWeightMatrix", ["s", "s", "s", "f", "f"], ["y"]), {"s": np.array(2**30), "f": floats()}),
        (helper.make_node("AffineGrid", ["t", "s"], ["y"]), {"t": floats(1, 2, 3), "s": whole(1, 1, 2**20, 2**20)}),
    ],
    ids=lambda value: value.op_type if isinstance(value, onnx.NodeProto) else "",
)
def test_any_size_that_a_constant_asks_for_is_bounded(
    refuse: Callable, graph_model: Callable, node: onnx.NodeProto, arrays: dict[str, Any]
) -> None:
    model = graph_model([node], arrays)
    model.opset_import[0].version = 22
    if node.op_type == "DFT":
        model.graph.input[0].type.tensor_type.shape.dim[-1].dim_value = 2
    assert "bytes of memory" in refuse(model, TooLargeError)


def test_every_standard_operator_has_a_rule_or_a_reason_against_it() -> None:
    known = {schema.name for schema in onnx.defs.get_all_schemas_with_history() if not schema.domain}
    assert known == {*RULES, *WHY_NOT, "Constant"}
    assert not set(RULES) & set(WHY_NOT)
