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

CONV_ATTRIBUTES = "strides: ints = @strides, pads: ints = @pads, dilations: ints = @dilations"
WINDOW = ("strides", "pads", "dilations")

Activation = Literal["clip", "hard_swish", "silu"]


@dataclass(frozen=True)
class ActivationText:
    """What is added to an op's name, its attributes, and Y made of Z."""

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
