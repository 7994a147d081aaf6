"""A convolution or linear layer with what is fused into it: bias, residual, activation."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, cast

import numpy as np
import onnx_ir as ir

from exporters.layers.activation import Found
from exporters.layers.graph import constant, ints, static_shape
from exporters.layers.info import ExportedLayer, FloatDtype, SparsifyCandidate
from exporters.layers.padding import same_pads
from exporters.ops import OPS
from exporters.weights import nm
from exporters.weights.csr import Csr, find_blocks, from_dense, in_half_precision
from exporters.weights.dtypes import Array, half_precision_error
from exporters.weights.nm import Nm

Kind = Literal["conv", "gemm", "depthwise", "stem", "other"]
Form = Literal["plain", "line", "upsampling"]
"""What a layer is beside a convolution over two sides or a linear layer: a convolution over one side, which becomes one
over a side of 1 and the other; a transposed convolution of windows that do not overlap, which becomes a 1×1 convolution
and a DepthToSpace."""
OPEN_SIDE = 64
"""Size that a side counts as, in the number of multiply-adds and for cost models, where the network leaves it open."""
# Input channels of a stem at most: grey, colour, colour with depth or alpha.
_STEM_CHANNELS = 4


# Rounding to float16 costs a number at most 2**-11 of itself; twice that is more than rounding in every channel.
_HALF_ERROR = 2.0**-10


_NONE = (0, 0, 0, 0)
_OPEN = f"; its size is open, and counts as {OPEN_SIDE} a side"


@dataclass(frozen=True, eq=False)
class Layer:
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

    def without_add(self) -> Layer:
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
        return tuple(own + more for own, more in zip(self._own_pads or _NONE, self.around, strict=True))

    @cached_property
    def _own_pads(self) -> tuple[int, ...] | None:
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

    @cached_property
    def kind(self) -> Kind:
        """Kind of op that can replace the layer."""
        if self.why_other:
            return "other"
        if self.weight.ndim == 2:
            return "gemm"
        if self.group > 1:
            return "depthwise"
        if self.source.is_graph_input() and self.kernel != (1, 1) and self.weight.shape[1] <= _STEM_CHANNELS:
            return "stem"
        return "conv"

    @cached_property
    def why_other(self) -> str:
        """Reason why no op of our domain can replace the layer; empty when one can."""
        if self.unfit:
            return self.unfit
        if self.out_pixels is None:
            return "the number of its dimensions is not known"
        if self.group > 1 and not (self.weight.shape[1] == 1 and self.weight.shape[0] == self.group):
            return "it is a grouped convolution"
        if self._own_pads is None:
            return "its padding is automatic, and its input's size not fixed"
        return ""

    @property
    def why_dense(self) -> str:
        """Reason why the layer stays dense without a decision."""
        return {"depthwise": "it is a depthwise convolution", "stem": "it is the stem"}.get(self.kind, self.why_other)

    @property
    def is_candidate(self) -> bool:
        """Whether the layer may become CSR."""
        return self.kind in ("conv", "gemm")

    @property
    def sparse_op(self) -> str:
        """The op of ours that it could become: CSR, or dense for the kinds that stay dense; else the one that it is."""
        if self.kind == "other":
            return self.node.op_type
        if self.kind in ("depthwise", "stem"):
            return "DepthwiseConv" if self.kind == "depthwise" else "DenseConv"
        if self.weight.ndim == 2:
            return "CsrGemm"
        return "CsrConv" if self.residual is None else "CsrConvAdd"

    @cached_property
    def nnz(self) -> int:
        """Non-zero weights."""
        return int(np.count_nonzero(self.weight))

    @cached_property
    def block_rows(self) -> int:
        """Output channels that share their columns; 1 for what no op in blocks can take."""
        return find_blocks(self.weight) if self.kind == "conv" else 1

    @cached_property
    def half_error(self) -> float:
        """Largest loss of a channel's weights in float16, see :func:`half_precision_error`."""
        return half_precision_error(self.weight)

    def dtype(self, weight_dtype: FloatDtype) -> FloatDtype:
        """The type that the values are stored in where ``weight_dtype`` was asked for."""
        return "float32" if weight_dtype == "float16" and not self.half_error <= _HALF_ERROR else weight_dtype

    def csr(self, weight_dtype: FloatDtype, in_blocks: bool = False) -> Csr:
        """The weight as it is stored in a CSR op."""
        exact = self._blocks if in_blocks else self._rows
        return in_half_precision(exact) if self.dtype(weight_dtype) == "float16" else exact

    @cached_property
    def _rows(self) -> Csr:
        return from_dense(self.weight)

    @cached_property
    def _blocks(self) -> Csr:
        return self._rows if self.block_rows == 1 else from_dense(self.weight, self.block_rows)

    def nm_group(self, weight_dtype: FloatDtype) -> int:
        """Channels of a group in which N:M takes fewer bytes than CSR; 0 where there are none or no op can take it."""
        if self.dtype(weight_dtype) not in self._groups:
            found = nm.find_group(self.weight, self.csr(weight_dtype)) if self.is_candidate else 0
            self._groups[self.dtype(weight_dtype)] = found
        return self._groups[self.dtype(weight_dtype)]

    @cached_property
    def _groups(self) -> dict[FloatDtype, int]:
        return {}

    def stored(self, op: str, weight_dtype: FloatDtype) -> Csr | Nm:
        """The weight as that sparse op stores it."""
        if not OPS[op].is_nm:
            return self.csr(weight_dtype, OPS[op].in_blocks)
        exact = nm.from_dense(self.weight, self.nm_group(weight_dtype))
        return nm.in_half_precision(exact) if self.dtype(weight_dtype) == "float16" else exact

    def info(self) -> SparsifyCandidate:
        """Describe the layer for ``select``."""
        return SparsifyCandidate(
            name=self.name,
            op=self.sparse_op,
            out_channels=self.weight.shape[0],
            in_channels=self.weight.shape[1],
            kernel=self.kernel,
            stride=(self.strides[0], self.strides[1]),
            out_pixels=self.out_pixels or 1,
            nnz=self.nnz,
            sparsity=1 - self.nnz / self.weight.size,
            block_rows=self.block_rows,
            block_density=self._blocks.values.size / self.weight.size if self.block_rows > 1 else 0.0,
            sides=1 if self.form == "line" else 2,
        )

    def report(self, op: str | None, reason: str, weight_dtype: FloatDtype = "float32") -> ExportedLayer:
        """Report the layer's export as ``op`` of our domain, or None when it stays as it is."""
        bytes_dense = self.weight.nbytes + self.bias.nbytes
        stored = self.stored(op, weight_dtype) if op is not None and OPS[op].is_sparse else None
        macs = stored.nnz if isinstance(stored, Nm) else stored.values.size if stored else self.weight.size
        pixels = self.out_pixels or 0
        return ExportedLayer(
            name=self.name,
            op=op or self.node.op_type,
            shape=self.shape,
            sparsity=1 - self.nnz / self.weight.size,
            nnz=self.nnz,
            format=stored.format if stored else "depthwise" if self.kind == "depthwise" else "dense",
            reason=reason + (self._why_whole(weight_dtype) if stored else "") + (_OPEN if self.is_open else ""),
            bytes_dense=bytes_dense,
            bytes=stored.nbytes + self.bias.nbytes if stored else bytes_dense,
            macs_dense=self.weight.size * pixels,
            macs=macs * pixels,
        )

    def _why_whole(self, weight_dtype: FloatDtype) -> str:
        """Reason why the values keep float32 though float16 was asked for; empty where they do not."""
        if self.dtype(weight_dtype) == weight_dtype:
            return ""
        if math.isinf(self.half_error):
            return "; its values stay float32, as some are beyond the largest number of float16"
        lost = f"{self.half_error:.2g}"
        return f"; its values stay float32, as float16 would take {lost} of a channel's weights (underflow)"


def other_operand(add: ir.Node, operand: ir.Value) -> ir.Value | None:
    """The other operand of an Add."""
    return add.inputs[1] if add.inputs[0] is operand else add.inputs[0]
