"""Bounds of operators that choose, count and draw: the shapes that ONNX's reference makes are not larger."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from shape_rules import bounds, made

from exporters.errors import MalformedModelError

RNG = np.random.default_rng(0)
FLOATS = RNG.normal(size=(2, 3, 4)).astype(np.float32)
BOXES = RNG.random((1, 6, 4)).astype(np.float32)
THRESHOLDS = (np.array([0.5], np.float32), np.array([0.1], np.float32))
EXACT: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("Bernoulli", [np.full((2, 3), 0.5, np.float32)], {}),
    ("BitShift", [np.ones((2, 1), np.uint8), np.ones(3, np.uint8)], {"direction": "LEFT"}),
    ("Det", [RNG.normal(size=(5, 2, 2)).astype(np.float32)], {}),
    ("Einsum", [FLOATS, FLOATS], {"equation": "bij, bkj -> bik"}),
    ("Einsum", [FLOATS], {"equation": "bij->jb"}),
    ("EyeLike", [FLOATS[0]], {}),
    ("HannWindow", [np.array(9)], {}),
    ("NegativeLogLikelihoodLoss", [FLOATS, np.zeros((2, 4), np.int64)], {"reduction": "none"}),
    ("NegativeLogLikelihoodLoss", [FLOATS, np.zeros((2, 4), np.int64)], {"reduction": "mean"}),
    ("OneHot", [np.array([1, 2]), np.array(4), np.array([0.0, 1.0], np.float32)], {"axis": 0}),
    ("ReverseSequence", [FLOATS, np.array([1, 2, 2])], {"time_axis": 0, "batch_axis": 1}),
]
BOUNDED: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("Compress", [FLOATS, np.array([True, False])], {"axis": 0}),
    ("Compress", [FLOATS, np.array([True, False])], {}),
    ("NonMaxSuppression", [BOXES, RNG.random((1, 2, 6)).astype(np.float32), np.array([3]), *THRESHOLDS], {}),
    ("NonZero", [FLOATS], {}),
    ("Unique", [np.array([1.0, 1, 2], np.float32)], {}),
]
WRONG: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("Det", [FLOATS], {}),
    ("Einsum", [FLOATS, FLOATS], {"equation": "bij,bjk->bik"}),
    ("Einsum", [FLOATS], {"equation": "b...->b"}),
    ("Einsum", [FLOATS] * 3, {"equation": "abc,abc,abc->a"}),
    ("EyeLike", [FLOATS], {}),
    ("HannWindow", [np.array(-1)], {}),
    ("NegativeLogLikelihoodLoss", [FLOATS, np.zeros((2, 3), np.int64)], {}),
    ("NonMaxSuppression", [BOXES, FLOATS], {}),
    ("OneHot", [np.array([1]), np.array(2**41), np.array([0.0, 1.0], np.float32)], {}),
    ("ReverseSequence", [FLOATS, np.array([1])], {}),
    ("RoiAlign", [FLOATS[None], BOXES[0], np.zeros(5, np.int64)], {}),
]


@pytest.mark.parametrize(("op", "inputs", "attributes"), EXACT)
def test_a_size_that_shapes_tell_is_exact(op: str, inputs: list[Any], attributes: dict[str, Any]) -> None:
    assert bounds(op, inputs, attributes)[0] == made(op, inputs, attributes)[0]


@pytest.mark.parametrize(("op", "inputs", "attributes"), BOUNDED)
def test_a_size_that_entries_tell_is_bounded(op: str, inputs: list[Any], attributes: dict[str, Any]) -> None:
    bound, shape = bounds(op, inputs, attributes)[0], made(op, inputs, attributes)[0]
    assert len(bound) == len(shape)
    assert all(size <= most for size, most in zip(shape, bound, strict=True))


@pytest.mark.parametrize(("op", "inputs", "attributes"), WRONG)
def test_contradictions_are_refused(op: str, inputs: list[Any], attributes: dict[str, Any]) -> None:
    with pytest.raises(MalformedModelError, match="has no shape"):
        bounds(op, inputs, attributes)
