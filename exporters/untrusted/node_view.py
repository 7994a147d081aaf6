"""View of a node for the shape rules, with sentences for errors in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import onnx

from exporters.errors import MalformedModelError

Shape = tuple[int, ...]

# Larger than any stride, padding, dilation or kernel of a network for images, and small enough for 32-bit sums.
_MAX_GEOMETRY = 2**15
_AUTO_PADS = (b"NOTSET", b"VALID", b"SAME_UPPER", b"SAME_LOWER")


@dataclass(frozen=True, eq=False)
class NodeView:
    """Inputs and attributes of a node, as a shape rule needs them.

    shapes: of its inputs, None for one that is left out. constants: small integer inputs whose entries are known, of
    one dimension or none, by position. floats: those of floating-point numbers. outputs: how many it makes. opset:
    version of standard ONNX.
    """

    name: str
    op: str
    shapes: tuple[Shape | None, ...]
    constants: Mapping[int, Sequence[int]]
    attributes: Mapping[str, onnx.AttributeProto]
    floats: Mapping[int, Sequence[float]] = field(default_factory=dict)
    outputs: int = 1
    opset: int = 18

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

    def known(self, index: int, what: str) -> Sequence[int]:
        """The entries of an input that must be a constant."""
        if index not in self.constants:
            raise self.refuse(f"its {what} are no constants")
        return self.constants[index]

    def axis(self, value: int, rank: int) -> int:
        """An axis, counted from the front."""
        if not -rank <= value < rank:
            raise self.refuse(f"axis {value} of {rank} dimensions")
        return value % rank


def window(node: NodeView, source: Shape, kernel: Sequence[int]) -> Shape:
    """Sides of the output of a convolution or pool over one to three dimensions of (N, C, …)."""
    count = len(kernel)
    strides = node.numbers("strides", count, 1, 1)
    dilations = node.numbers("dilations", count, 1, 1)
    pads = node.numbers("pads", 2 * count, 0, 0)
    auto = auto_pad(node, pads)
    if len(source) != count + 2 or not all(1 <= side <= _MAX_GEOMETRY for side in kernel):
        raise node.refuse("the kernel has no size, or another number of sides than the input")
    size = []
    for axis in range(count):
        reach = dilations[axis] * (kernel[axis] - 1) + 1
        span = source[2 + axis] + pads[axis] + pads[axis + count] - reach
        if auto in (b"SAME_UPPER", b"SAME_LOWER"):
            size.append(-(-source[2 + axis] // strides[axis]))
        elif span < 0:
            raise node.refuse("the kernel is larger than the input")
        elif node.number("ceil_mode", 0):
            size.append(-(-span // strides[axis]) + 1)
        else:
            size.append(span // strides[axis] + 1)
    return tuple(size)


def auto_pad(node: NodeView, pads: Sequence[int]) -> bytes:
    """The way in which the padding is worked out; NOTSET where ``pads`` says it."""
    auto: bytes = node.attributes["auto_pad"].s if "auto_pad" in node.attributes else b"NOTSET"
    if auto not in _AUTO_PADS or (auto != b"NOTSET" and any(pads)):
        raise node.refuse("auto_pad is unknown, or there are pads besides it")
    return auto


def quantised(node: NodeView, places: Sequence[int], channels: int) -> None:
    """Check that these inputs, scales and zero points, are left out, or have one entry or one a channel."""
    for place in places:
        if place < len(node.shapes) and node.shapes[place] not in (None, (), (1,), (channels,)):
            raise node.refuse(f"input {place} is neither one number nor one a channel")


def broadcast(node: NodeView, left: Shape, right: Shape) -> Shape:
    """The shape that both are broadcast to."""
    rank = max(len(left), len(right))
    pairs = zip((1,) * (rank - len(left)) + left, (1,) * (rank - len(right)) + right, strict=True)
    out = []
    for a, b in pairs:
        if a != b and 1 not in (a, b):
            raise node.refuse(f"{left} and {right} do not broadcast")
        out.append(b if a == 1 else a)
    return tuple(out)


def axes(node: NodeView, rank: int, place: int = 1) -> list[int]:
    """The axes that an attribute or the input at ``place`` lists, counted from the front, each once."""
    shape = node.shapes[place] if len(node.shapes) > place else None
    if shape is not None and (len(shape) > 1 or place not in node.constants):
        raise node.refuse("its axes are no constants")
    listed = node.attributes["axes"].ints if "axes" in node.attributes else node.constants.get(place, ())
    found = [node.axis(axis, rank) for axis in listed]
    if len(set(found)) != len(found):
        raise node.refuse("an axis is there twice")
    return found
