"""Zeros around what a convolution reads: put there by a Pad, or worked out from sizes (TensorFlow's SAME)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import onnx_ir as ir

from exporters.layers.graph import constant, static_shape


def zero_pads(value: ir.Value | None) -> tuple[int, ...] | None:
    """Top, left, bottom and right of the zeros that a Pad puts around the sides of an image; None for other values.

    Of a signal, with one side, they are those of an image of height 1.
    """
    node = None if value is None else value.producer()
    if node is None or node.op_type != "Pad" or node.domain or len(node.inputs) < 2 or node.inputs[0] is None:
        return None
    if "mode" in node.attributes and node.attributes["mode"].as_string() != "constant":
        return None
    pads, shape = constant(node.inputs[1]), static_shape(node.inputs[0])
    fill, chosen = [*node.inputs[2:], None, None][:2]
    zero, axes = constant(fill), constant(chosen)
    if pads is None or shape is None or len(shape) not in (3, 4) or np.any(pads < 0):
        return None
    if (fill is not None and (zero is None or np.any(zero != 0))) or (chosen is not None and axes is None):
        return None
    rank = len(shape)
    places = list(range(rank)) if axes is None else [int(axis) % rank for axis in axes]
    if len(pads) != 2 * len(places):
        return None
    begin, end = (dict(zip(places, map(int, half), strict=True)) for half in np.split(pads, 2))
    if any(half.get(axis) for half in (begin, end) for axis in (0, 1)):
        return None
    return tuple(half.get(axis, 0) for half in (begin, end) for axis in ((2, 3) if rank == 4 else (-1, 2)))


def same_pads(
    sides: Sequence[int | None] | None, strides: Sequence[int], reach: Sequence[int], auto: str
) -> tuple[int, ...] | None:
    """Top, left, bottom and right of SAME_UPPER or SAME_LOWER; None where the sides of the input are not fixed.

    reach: rows and columns that a window spans. The output has ceil(side / stride) places; an odd number of zeros has
    its larger half at the end for SAME_UPPER and at the beginning for SAME_LOWER.
    """
    if auto not in ("SAME_UPPER", "SAME_LOWER") or sides is None or None in sides:
        return None
    zeros = [
        max(0, (-(-side // stride) - 1) * stride + span - side)
        for side, stride, span in zip(cast("tuple[int, int]", sides), strides, reach, strict=True)
    ]
    less, more = [count // 2 for count in zeros], [count - count // 2 for count in zeros]
    return (*less, *more) if auto == "SAME_UPPER" else (*more, *less)
