"""Small vectors of integers that a graph computes from the shapes of its values, to reshape others.

Operators that move such numbers about and the four that calculate with them are followed, within 40 bits. Others'
outputs are unknown, and unknown shapes are refused where they are used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from onnx import TensorProto

from exporters.untrusted.node_view import NodeView
from exporters.untrusted.rules_arrange import shape_range

Numbers = tuple[int, ...]
_LARGEST = 2**40


def _shape(node: NodeView) -> Numbers:
    start, end = shape_range(node)
    return node.shape(0)[start:end]


def _same(node: NodeView) -> Numbers | None:
    numbers = node.constants.get(0)
    return None if numbers is None else tuple(numbers)


def _cast(node: NodeView) -> Numbers | None:
    return _same(node) if node.number("to", 0) in (TensorProto.INT64, TensorProto.INT32) else None


def _slice(node: NodeView) -> Numbers | None:
    numbers = node.constants.get(0)
    if "starts" in node.attributes and "ends" in node.attributes:
        starts, ends = node.attributes["starts"].ints, node.attributes["ends"].ints
        steps: Sequence[int] | None = [1]
    else:
        starts, ends = node.constants.get(1, ()), node.constants.get(2, ())
        steps = node.constants.get(4) if len(node.shapes) > 4 and node.shapes[4] is not None else [1]
    if numbers is None or steps is None or not len(starts) == len(ends) == len(steps) == 1:
        return None
    return tuple(numbers[slice(starts[0], ends[0], steps[0])])


def _calculated(node: NodeView) -> Numbers | None:
    left, right = node.constants.get(0), node.constants.get(1)
    if left is None or right is None or (len(left) != len(right) and 1 not in (len(left), len(right))):
        return None
    count = max(len(left), len(right))
    pairs = zip(_repeated(left, count), _repeated(right, count), strict=True)
    found = [_result(node.op, a, b) for a, b in pairs]
    return None if any(abs(number) > _LARGEST for number in found) else tuple(found)


def _repeated(numbers: Sequence[int], count: int) -> Sequence[int]:
    return numbers if len(numbers) == count else list(numbers) * count


def _result(op: str, a: int, b: int) -> int:
    if op == "Div":  # towards zero, as C divides
        return _LARGEST + 1 if b == 0 else abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    return {"Add": a + b, "Sub": a - b, "Mul": a * b}[op]


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
    "Add": _calculated,
    "Cast": _cast,
    "Concat": _concat,
    "Div": _calculated,
    "Gather": _gather,
    "Identity": _same,
    "Mul": _calculated,
    "Reshape": _same,
    "Shape": _shape,
    "Slice": _slice,
    "Squeeze": _same,
    "Sub": _calculated,
    "Unsqueeze": _same,
}
