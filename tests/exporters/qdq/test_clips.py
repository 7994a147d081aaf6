"""Clips between an op and its rounding."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir
import pytest

from exporters.qdq.clips import before_clips, before_rounding, bounds_of, clip_bounds


def clipped() -> tuple[ir.Value, ir.Value]:
    """A product behind Relu and Clip(-1, 4), and its last value."""
    x = ir.Value(name="x")
    product = ir.Node("", "Conv", [x])
    relu = ir.Node("", "Relu", [product.outputs[0]])
    low, high = (ir.Value(name=name, const_value=ir.tensor(np.float32(v))) for name, v in (("low", -1), ("high", 4)))
    clip = ir.Node("", "Clip", [relu.outputs[0], low, high])
    ir.Graph([x], [], nodes=[product, relu, clip], initializers=[low, high])
    return product.outputs[0], clip.outputs[0]


def test_clips_are_found_from_both_ends() -> None:
    core, last = clipped()
    found, clips = before_clips(last)
    assert found is core
    assert [node.op_type for node in clips] == ["Relu", "Clip"]
    assert before_rounding(core) is last
    assert bounds_of(clips).tolist() == [0.0, 4.0]
    assert bounds_of([]).tolist() == [-math.inf, math.inf]


@pytest.mark.parametrize(("op", "wanted"), [("Relu", (0.0, math.inf)), ("Sigmoid", None)])
def test_bounds_of_a_node(op: str, wanted: tuple[float, float] | None) -> None:
    assert clip_bounds(ir.Node("", op, [ir.Value(name="x")])) == wanted


def test_a_clip_whose_bounds_are_computed_is_none() -> None:
    assert clip_bounds(ir.Node("", "Clip", [ir.Value(name="x"), ir.Value(name="low")])) is None
    assert clip_bounds(ir.Node("", "Clip", [ir.Value(name="x")])) == (-math.inf, math.inf)
