"""A node as the rules of shapes see it, with sentences for what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx

from exporters.errors import MalformedModelError

Shape = tuple[int, ...]

# Larger than any stride, padding, dilation or kernel of a network for images, and small enough for 32-bit sums.
_MAX_GEOMETRY = 2**15
_AUTO_PADS = (b"NOTSET", b"VALID", b"SAME_UPPER", b"SAME_LOWER")


@dataclass(frozen=True, eq=False)
class NodeView:
    """A node as its rule sees it.

    shapes: of its inputs, None for one that is left out. constants: small int64 inputs whose entries are known, of one
    dimension or none, by position.
    """

    name: str
    op: str
    shapes: tuple[Shape | None, ...]
    constants: Mapping[int, Sequence[int]]
    attributes: Mapping[str, onnx.AttributeProto]

    def refuse(self, why: str) -> MalformedModelError:
        """The error that says why the node has no output shape."""
        return MalformedModelError(
            f"the output of node {self.name!r} ({self.op}) has no shape: {why}; export it again."
        )

    def shape(self, index: int, rank: int | None = None) -> Shape:
        """The shape of an input that must be there, of that rank if one is given."""
        shape = self.shapes[index] if index < len(self.shapes) else None
        if shape is None or (rank is not None and len(shape) != rank):
            raise self.refuse(f"input {index} must have {'a shape' if rank is None else f'{rank} dimensions'}")
        return shape

    def number(self, key: str, default: int) -> int:
        """An attribute that is an integer."""
        return self.attributes[key].i if key in self.attributes else default

    def numbers(self, key: str, count: int, least: int, default: int) -> Sequence[int]:
        """An attribute that is a list of ``count`` integers of at least ``least``."""
        values = self.attributes[key].ints if key in self.attributes else [default] * count
        if len(values) != count or not all(least <= value <= _MAX_GEOMETRY for value in values):
            raise self.refuse(f"{key} must be {count} numbers of at least {least}")
        return values

    def axis(self, value: int, rank: int) -> int:
        """An axis, counted from the front."""
        if not -rank <= value < rank:
            raise self.refuse(f"axis {value} of {rank} dimensions")
        return value % rank


def window(node: NodeView, source: Shape, kernel: Sequence[int]) -> Shape:
    """Height and width of what a kernel leaves of (N, C, H, W): of convolutions and pools."""
    strides = node.numbers("strides", 2, 1, 1)
    dilations = node.numbers("dilations", 2, 1, 1)
    pads = node.numbers("pads", 4, 0, 0)
    auto = node.attributes["auto_pad"].s if "auto_pad" in node.attributes else b"NOTSET"
    if auto not in _AUTO_PADS or (auto != b"NOTSET" and any(pads)):
        raise node.refuse("auto_pad is unknown, or there are pads besides it")
    if not all(1 <= side <= _MAX_GEOMETRY for side in kernel):
        raise node.refuse("the kernel has no size")
    size = []
    for axis in range(2):
        reach = dilations[axis] * (kernel[axis] - 1) + 1
        span = source[2 + axis] + pads[axis] + pads[axis + 2] - reach
        if auto in (b"SAME_UPPER", b"SAME_LOWER"):
            size.append(-(-source[2 + axis] // strides[axis]))
        elif span < 0:
            raise node.refuse("the kernel is larger than the input")
        elif node.number("ceil_mode", 0):
            size.append(-(-span // strides[axis]) + 1)
        else:
            size.append(span // strides[axis] + 1)
    return tuple(size)
