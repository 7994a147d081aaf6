"""Views of values: which codes a float32 value holds, through DequantizeLinear and changes of shape."""

from __future__ import annotations

import math
from collections.abc import Mapping

import onnx_ir as ir

from exporters.layers.graph import static_shape
from exporters.qdq.constants import Unfit
from exporters.qdq.grid import grid_of, is_dequantize
from exporters.qdq.steps import Code

_RESHAPES = frozenset(("Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"))
FLOAT = "it reads float32 numbers that were not rounded to integers"


def is_reshape(node: ir.Node | None) -> bool:
    """Whether a node changes the shape of its first input and nothing else."""
    return node is not None and not node.domain and node.op_type in _RESHAPES


def codes_behind(value: ir.Value | None, known: Mapping[ir.Value, Code]) -> tuple[Code, list[ir.Node]]:
    """The codes that a float32 value holds, and the changes of shape in between. Raises Unfit."""
    covers = list[ir.Node]()
    grid = None
    while value is not None and value not in known:
        node = value.producer()
        if node is None:
            break
        if is_dequantize(node) and grid is None:
            grid = grid_of(node)
            if grid is None:
                raise Unfit("its input has a grid that no int8 op of ours has")
        elif is_reshape(node):
            covers.append(node)
        else:
            break
        value = node.inputs[0]
    if value is None or value not in known or grid is None:
        raise Unfit(FLOAT)
    code = known[value]
    if not code.grid.alike(grid):
        raise Unfit("its input is rounded to one grid and read on another")
    return code, covers


def view_of(value: ir.Value | None) -> tuple[int, ...]:
    """Dimensions of a value without the batch. Raises Unfit where one is not fixed."""
    shape = None if value is None else static_shape(value)
    if shape is None or len(shape) < 2:
        raise Unfit("the size of what it reads or makes is not fixed")
    sides = tuple(side for side in shape[1:] if side is not None)
    if len(sides) != len(shape) - 1 or math.prod(sides) < 1:
        raise Unfit("the size of what it reads or makes is not fixed")
    return sides


def image_of(value: ir.Value | None) -> tuple[int, int, int]:
    """Channels, height and width of a value, 1 for those of a matrix. Raises Unfit for other ranks."""
    view = view_of(value)
    if len(view) == 1:
        return view[0], 1, 1
    if len(view) == 3:
        return view[0], view[1], view[2]
    raise Unfit("it is over one or three dimensions, not two")
