"""Small vectors of integers that a graph computes from the shapes of its values, to reshape others.

Only operators that move numbers about are followed, none that calculates: a shape may hold sizes of inputs and numbers
of the file, and what is reshaped to it still has the elements that it had. Others' outputs are unknown, and unknown
shapes are refused where they are used.
"""

from __future__ import annotations

from collections.abc import Callable

from onnx import TensorProto

from exporters.untrusted.node_view import NodeView
from exporters.untrusted.shapes import shape_range

Numbers = tuple[int, ...]


def _shape(node: NodeView) -> Numbers:
    start, end = shape_range(node)
    return node.shape(0)[start:end]


def _same(node: NodeView) -> Numbers | None:
    numbers = node.constants.get(0)
    return None if numbers is None else tuple(numbers)


def _cast(node: NodeView) -> Numbers | None:
    return _same(node) if node.number("to", 0) == TensorProto.INT64 else None


def _concat(node: NodeView) -> Numbers | None:
    parts = [node.constants.get(index) for index in range(len(node.shapes))]
    known = [part for part in parts if part is not None]
    return tuple(number for part in known for number in part) if len(known) == len(parts) else None


def _gather(node: NodeView) -> Numbers | None:
    numbers, indices = node.constants.get(0), node.constants.get(1)
    if numbers is None or indices is None or len(node.shape(0)) != 1:
        return None
    return tuple(numbers[node.axis(index, len(numbers))] for index in indices)


# The number of elements of what these make is that of their shape's rule.
VALUES: dict[str, Callable[[NodeView], Numbers | None]] = {
    "Cast": _cast,
    "Concat": _concat,
    "Gather": _gather,
    "Identity": _same,
    "Reshape": _same,
    "Shape": _shape,
    "Squeeze": _same,
    "Unsqueeze": _same,
}
