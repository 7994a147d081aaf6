"""The nodes of a convolution or linear layer, with what is fused into it, and how its windows lie over its input."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, Self, cast

import onnx_ir as ir

from exporters.layers.activation import Found
from exporters.layers.graph import constant, ints, static_shape
from exporters.layers.padding import same_pads
from exporters.weights.dtypes import Array

Form = Literal["plain", "line", "upsampling"]
"""What a layer is beside a convolution over two sides or a linear layer: a convolution over one side, which becomes one
over a side of 1 and the other; a transposed convolution of windows that do not overlap, which becomes a 1×1 convolution
and a DepthToSpace."""
OPEN_SIDE = 64
"""Size that a side counts as, in the number of multiply-adds and for cost models, where the network leaves it open."""
_NONE = (0, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class PlacedLayer:
    """A Conv, Gemm or MatMul and the nodes after it that an op of our domain would take in.

    node: the first of them. weight: float32 (outputs, inputs, …), however the file stores it. bias: float32 (outputs,).
    bias_value: the initializer that holds it, None where none does in this shape. bias_add: the Add that adds it.
    add: the Add of a residual. padded, around: a Pad before the layer, and its zeros (top, left, bottom, right).
    unfit: why no op of our domain can take the layer's place, if that is known from the node alone. form: what weight
    and bias have been brought from.
    """

    node: ir.Node
    weight: Array
    bias: Array
    bias_value: ir.Value | None = None
    bias_add: ir.Node | None = None
    add: ir.Node | None = None
    padded: ir.Node | None = None
    around: tuple[int, ...] = _NONE
    found: Found = field(default_factory=Found)
    """The activation."""
    unfit: str = ""
    form: Form = "plain"

    @property
    def name(self) -> str:
        """The node's name."""
        return self.node.name or ""

    # source and residual are looked up and not stored: replacing an earlier layer replaces its output value.
    @property
    def source(self) -> ir.Value:
        """The activation that the layer reads, before the zeros that a Pad puts around it."""
        return cast("ir.Value", (self.padded or self.node).inputs[0])  # find_layers has seen that it is there

    @property
    def total(self) -> ir.Value:
        """The value that holds the products and the bias, before residual and activation."""
        return (self.bias_add or self.node).outputs[0]

    @property
    def residual(self) -> ir.Value | None:
        """The other operand of ``add``."""
        return None if self.add is None else other_operand(self.add, self.total)

    @property
    def last(self) -> ir.Node:
        """The last of the nodes that belong to the layer."""
        return self.nodes[-1]

    def without_add(self) -> Self:
        """The layer, the Add after it left to another."""
        return replace(self, add=None, found=Found())

    @property
    def nodes(self) -> list[ir.Node]:
        """The nodes that an op of our domain replaces, in order."""
        return [self.node, *(add for add in (self.bias_add, self.add) if add is not None), *self.found.nodes]

    @cached_property
    def group(self) -> int:
        """Groups of the convolution."""
        return self.node.attributes["group"].as_int() if "group" in self.node.attributes else 1

    @cached_property
    def kernel(self) -> tuple[int, int]:
        """Height and width of the kernel."""
        return (self.weight.shape[2], self.weight.shape[3]) if self.weight.ndim == 4 else (1, 1)

    @property
    def node_kernel(self) -> int:
        """Side of the square window of a transposed convolution."""
        return self.shape[-1]

    @property
    def shape(self) -> tuple[int, ...]:
        """Dimensions of the weight as the dense file has them, of a linear layer (outputs, inputs)."""
        if self.form == "upsampling":
            return tuple(cast("Array", constant(self.node.inputs[1])).shape)
        return self.weight.shape[:2] + self.weight.shape[3:] if self.form == "line" else tuple(self.weight.shape)

    @cached_property
    def strides(self) -> tuple[int, ...]:
        """Strides (height, width)."""
        return (1, 1) if self.form == "upsampling" else self._sides("strides", 1)

    def _sides(self, name: str, default: int) -> tuple[int, ...]:
        """An attribute of a number a side, with that of the height of 1 where the layer has one side."""
        if self.form == "line":
            return default, *ints(self.node, name, (default,))
        return ints(self.node, name, (default, default))

    @property
    def pads(self) -> tuple[int, ...]:
        """Padding (top, left, bottom, right), with that of a Pad before the layer."""
        return tuple(own + more for own, more in zip(self.own_pads or _NONE, self.around, strict=True))

    @cached_property
    def own_pads(self) -> tuple[int, ...] | None:
        """Padding that the node itself says; None where it is automatic and the input's size is not fixed."""
        auto = self.node.attributes["auto_pad"].as_string() if "auto_pad" in self.node.attributes else "NOTSET"
        if self.form == "upsampling":
            return _NONE
        if auto == "NOTSET" and self.form == "line":
            begin, end = ints(self.node, "pads", (0, 0))
            return 0, begin, 0, end
        if auto == "NOTSET":
            return ints(self.node, "pads", _NONE)
        reach = [step * (side - 1) + 1 for step, side in zip(self.dilations, self.kernel, strict=True)]
        return _NONE if auto == "VALID" else same_pads(self._in_sides, self.strides, reach, auto)

    @property
    def _in_sides(self) -> tuple[int | None, ...] | None:
        """Height and width of what the node reads."""
        value = self.node.inputs[0]
        return None if value is None else self._image_sides(value)

    def _image_sides(self, value: ir.Value) -> tuple[int | None, ...] | None:
        shape = static_shape(value)
        if shape is None or len(shape) != (3 if self.form == "line" else 4):
            return None
        return (1, shape[2]) if self.form == "line" else shape[2:]

    @cached_property
    def dilations(self) -> tuple[int, ...]:
        """Dilations (height, width)."""
        return (1, 1) if self.form == "upsampling" else self._sides("dilations", 1)

    @cached_property
    def _inner(self) -> tuple[int | None, ...] | None:
        """Sizes of the output for one sample besides the channels; None where even their number is unknown."""
        if self.weight.ndim == 4:
            places = self.node.inputs[0] if self.form == "upsampling" else self.node.outputs[0]
            return None if places is None else self._image_sides(places)
        shape = static_shape(self.node.outputs[0])
        if self.node.op_type == "Gemm":
            return ()
        return None if shape is None else shape[1:-1]

    @cached_property
    def out_pixels(self) -> int | None:
        """Outputs of a channel for one image: height × width, rows of a linear layer; open sides as OPEN_SIDE."""
        return None if self._inner is None else math.prod(OPEN_SIDE if size is None else size for size in self._inner)

    @property
    def is_open(self) -> bool:
        """Whether the number of outputs depends on what the network is given."""
        return self._inner is not None and None in self._inner

    @property
    def rows(self) -> int:
        """Rows that a linear layer reads at a time; a first dimension that is open counts as 1."""
        shape = None if self.node.inputs[0] is None else static_shape(self.node.inputs[0])
        return (shape[0] or 1 if shape else 1) * (self.out_pixels or 1)

    @property
    def out_dims(self) -> tuple[int | None, ...] | None:
        """Dimensions that a linear layer's output has besides the last, None for open ones; None for a matrix."""
        shape = static_shape(self.node.outputs[0])
        return None if self.weight.ndim != 2 or shape is None or len(shape) < 3 else shape[:-1]


def other_operand(add: ir.Node, operand: ir.Value) -> ir.Value | None:
    """The other operand of an Add."""
    return add.inputs[1] if add.inputs[0] is operand else add.inputs[0]
