"""Pieces of function bodies, in ONNX's text syntax, that several ops share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import onnx
import onnx.parser

DOMAIN = "chita.edge"
VERSION = 1
# ReduceProd with axes as an input and ScatterElements with a reduction: opset 18. Every ORT since 1.14 has it.
OPSET = 18

# Scatter the values into a dense weight. Row r of the CSR starts at row_ptr[r]: marking the starts of rows 1…M−1
# (added, because empty rows share a start) and summing the marks up gives each value its row. Only constants enter, so
# a runtime folds all of it when it loads the model.
CSR_TO_DENSE = """
  zero = Constant <value = int64[1] {0}> ()
  one = Constant <value = int64[1] {1}> ()
  last = Constant <value = int64[1] {-1}> ()
  axis = Constant <value = int64 {0}> ()
  ptr = Cast <to = 7> (row_ptr)
  cols = Cast <to = 7> (col_idx)
  starts = Slice (ptr, one, last, zero)
  nnz = Shape (values)
  slots = Add (nnz, one)
  none = ConstantOfShape <value = int64[1] {0}> (slots)
  n_starts = Shape (starts)
  ones = Expand (one, n_starts)
  marks = ScatterElements <axis = 0, reduction = "add"> (none, starts, ones)
  row_of = CumSum (marks, axis)
  rows = Slice (row_of, zero, last, zero)
  n_rows = Gather (weight_shape, zero)
  size = ReduceProd (weight_shape)
  n_cols = Div (size, n_rows)
  base = Mul (rows, n_cols)
  index = Add (base, cols)
  empty = ConstantOfShape <value = float[1] {0}> (size)
  wide = Cast <to = 1> (values)
  flat = ScatterElements <axis = 0> (empty, index, wide)
  W = Reshape (flat, weight_shape)
"""

# The same where a row of the CSR is a block of rows of W: values [nnz, height], value (i, r) in row r of the block.
_FIRST_INDEX = """
  base = Mul (rows, n_cols)
  index = Add (base, cols)
"""
_BLOCK_INDEX = """
  n_ptr = Shape (row_ptr)
  n_blocks = Sub (n_ptr, one)
  height = Div (n_rows, n_blocks)
  first = Mul (rows, height)
  first_base = Mul (first, n_cols)
  first_index = Add (first_base, cols)
  column = Unsqueeze (first_index, one)
  count = Squeeze (height)
  step = Constant <value = int64 {1}> ()
  steps = Range (axis, count, step)
  offsets = Mul (steps, n_cols)
  both = Add (column, offsets)
  index = Reshape (both, last)
"""
BLOCKS_TO_DENSE = (
    CSR_TO_DENSE.replace(_FIRST_INDEX, _BLOCK_INDEX)
    .replace("nnz = Shape (values)", "nnz = Shape (col_idx)")
    .replace("wide = Cast <to = 1> (values)", "in_blocks = Cast <to = 1> (values)\n  wide = Reshape (in_blocks, last)")
)

# Each byte of index becomes eight bits, each ceil(log2 m) bits a channel of a group, along which slots are scattered.
NM_TO_DENSE = """
  zero = Constant <value = int64[1] {0}> ()
  one = Constant <value = int64[1] {1}> ()
  two = Constant <value = int64[1] {2}> ()
  three = Constant <value = int64[1] {3}> ()
  last = Constant <value = int64[1] {-1}> ()
  m = Constant <value_int: int = @m> ()
  group = Reshape (m, one)
  powers = Constant <value = int64[4] {1, 2, 4, 8}> ()
  exceeded = Greater (group, powers)
  counted = Cast <to = 7> (exceeded)
  n_digits = ReduceSum (counted, zero)
  places = Constant <value = uint8[8] {0, 1, 2, 3, 4, 5, 6, 7}> ()
  lowest = Constant <value = uint8[1] {1}> ()
  bytes = Unsqueeze (index, one)
  shifted = BitShift <direction = "RIGHT"> (bytes, places)
  bits = BitwiseAnd (shifted, lowest)
  stream = Reshape (bits, last)
  slots = Shape (values)
  n_slots = ReduceProd (slots)
  n_bits = Mul (n_slots, n_digits)
  used = Slice (stream, zero, n_bits, zero)
  by_slot = Concat <axis = 0> (last, n_digits)
  narrow = Reshape (used, by_slot)
  digits = Cast <to = 7> (narrow)
  weights = Slice (powers, zero, n_digits, zero)
  parts = Mul (digits, weights)
  channels = ReduceSum <keepdims = 0> (parts, one)
  where = Reshape (channels, slots)
  outer = Slice (slots, zero, three, zero)
  cells = Concat <axis = 0> (outer, group)
  empty = ConstantOfShape <value = float[1] {0}> (cells)
  wide = Cast <to = 1> (values)
  filled = ScatterElements <axis = 3> (empty, where, wide)
  by_channel = Transpose <perm = [0, 1, 3, 2]> (filled)
  rows = Slice (slots, zero, one, zero)
  taps = Slice (slots, two, three, zero)
  flat_shape = Concat <axis = 0> (rows, last, taps)
  flat = Reshape (by_channel, flat_shape)
  n_channels = Slice (weight_shape, one, two, zero)
  there = Slice (flat, zero, n_channels, one)
  W = Reshape (there, weight_shape)
"""

CONV_ATTRIBUTES = "strides: ints = @strides, pads: ints = @pads, dilations: ints = @dilations"
WINDOW = ("strides", "pads", "dilations")

Activation = Literal["clip", "hard_swish", "silu"]


@dataclass(frozen=True)
class ActivationText:
    """An activation's suffix of the op's name, its attributes, and the text that computes Y from Z."""

    suffix: str
    attributes: tuple[str, ...]
    body: str


ACTIVATIONS: Mapping[Activation, ActivationText] = {
    # min and max as Constant nodes: runtimes fuse a Clip into the convolution before it only when its bounds are
    # constant.
    "clip": ActivationText(
        "",
        ("clip_min: float = -inf", "clip_max: float = inf"),
        """
  lo = Constant <value_float: float = @clip_min> ()
  hi = Constant <value_float: float = @clip_max> ()
  Y = Clip (Z, lo, hi)
""",
    ),
    "hard_swish": ActivationText("HardSwish", (), " Y = HardSwish (Z) "),
    "silu": ActivationText("Silu", (), " gate = Sigmoid (Z) Y = Mul (Z, gate) "),
}


def function(name: str, attributes: Sequence[str], inputs: Sequence[str], body: str) -> onnx.FunctionProto:
    """Parse one model-local function of our domain with output Y."""
    listed = f"<{', '.join(attributes)}>" if attributes else ""
    return onnx.parser.parse_function(
        f'<opset_import: ["" : {OPSET}], domain: "{DOMAIN}"> {name} {listed} ({", ".join(inputs)}) => (Y) {{ {body} }}'
    )
