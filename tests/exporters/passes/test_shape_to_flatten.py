"""Reshape to (batch, everything else) → Flatten."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from exporters.passes import ShapeToFlatten
from exporters.serialize import to_proto

CHAIN = """
main (float[n, 2, 3, 4] x) => (float[{after}] y) {{
  batch = Shape <start = 0, end = 1> (x)
  shape = Concat <axis = 0> (batch, rest)
  y = Reshape (x, shape)
}}"""


@pytest.mark.parametrize("rest", [24, -1])
def test_the_chain_becomes_a_flatten(
    from_text: Callable, rng: np.random.Generator, run_stock: Callable, rest: int
) -> None:
    result = ShapeToFlatten()(from_text(CHAIN.format(after="n, 24"), {"rest": np.array([rest], np.int64)}))
    assert result.modified
    assert [node.op_type for node in result.model.graph] == ["Flatten"]
    proto = to_proto(result.model)
    onnx.checker.check_model(proto, full_check=True)
    x = rng.normal(size=(3, 2, 3, 4)).astype(np.float32)
    np.testing.assert_array_equal(run_stock(proto, {"x": x})[0], x.reshape(3, 24))


def test_a_chain_that_others_read_stays_for_them(from_text: Callable) -> None:
    text = """
    main (float[n, 2, 3] x) => (float[n, 6] y, float[n, 3, 2] z) {
      batch = Shape <start = 0, end = 1> (x)
      flat = Concat <axis = 0> (batch, rest)
      y = Reshape (x, flat)
      turned = Concat <axis = 0> (batch, sides)
      z = Reshape (x, turned)
    }"""
    arrays = {"rest": np.array([-1], np.int64), "sides": np.array([3, 2], np.int64)}
    result = ShapeToFlatten()(from_text(text, arrays))
    assert [node.op_type for node in result.model.graph] == ["Shape", "Flatten", "Concat", "Reshape"]


@pytest.mark.parametrize(
    ("after", "rest"), [("n, 6, 4", [6, 4]), ("n, 24, 1", [24, 1]), ("m, 24", [24]), ("n, k", [24])]
)
def test_other_reshapes_stay(from_text: Callable, after: str, rest: list[int]) -> None:
    result = ShapeToFlatten()(from_text(CHAIN.format(after=after), {"rest": np.array(rest, np.int64)}))
    assert not result.modified
    assert [node.op_type for node in result.model.graph] == ["Shape", "Concat", "Reshape"]


def test_dimensions_that_nobody_knows_are_not_taken_for_equal(from_text: Callable) -> None:
    model = from_text(CHAIN.format(after="n, 24"), {"rest": np.array([24], np.int64)})
    for value in (model.graph.inputs[0], model.graph.outputs[0]):
        assert value.shape is not None
        value.shape = ir.Shape([None, *list(value.shape)[1:]])
    assert not ShapeToFlatten()(model).modified
