"""Clip and Relu nodes between an op and the rounding of what it makes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from exporters.layers.graph import constant, only_user
from exporters.weights.dtypes import Array


def before_clips(value: ir.Value) -> tuple[ir.Value, list[ir.Node]]:
    """The value before the Clip and Relu nodes that make ``value``, and these, in order."""
    clips = list[ir.Node]()
    while (node := value.producer()) is not None and clip_bounds(node) is not None and node.inputs[0] is not None:
        clips.insert(0, node)
        value = node.inputs[0]
    return value, clips


def before_rounding(value: ir.Value) -> ir.Value:
    """The value after the Clip and Relu nodes that follow ``value``."""
    while (user := only_user(value)) is not None and clip_bounds(user) is not None:
        value = user.outputs[0]
    return value


def clip_bounds(node: ir.Node) -> tuple[float, float] | None:
    """What a Clip or Relu clips to; None of other nodes, and where it is not fixed."""
    if node.domain or node.op_type not in ("Clip", "Relu"):
        return None
    if node.op_type == "Relu":
        return 0.0, math.inf
    bounds = [-math.inf, math.inf]
    for place, value in enumerate(node.inputs[1:3]):
        array = constant(value)
        if value is not None and (array is None or array.size != 1):
            return None
        bounds[place] = bounds[place] if array is None else float(array.reshape(()))
    return bounds[0], bounds[1]


def bounds_of(clips: Sequence[ir.Node]) -> Array:
    """What the least and the largest number become."""
    ends = np.array([-np.inf, np.inf], np.float32)
    for node in clips:
        bounds = clip_bounds(node)
        assert bounds is not None  # noqa: S101 (before_clips has looked)
        ends = np.minimum(np.maximum(ends, np.float32(bounds[0])), np.float32(bounds[1]))
    return ends
