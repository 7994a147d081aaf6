"""Pieces of the function bodies of int8 stages, in ONNX's text syntax."""

from __future__ import annotations

# Scatter the blocks into a dense weight. As in CSR_TO_DENSE, marks at the starts of rows, summed up, give each block
# its row. A block is a line of [rows * columns, height * 4], so that one ScatterND places whole blocks; its last
# dimension is then split into outputs and channels, and the padding is cut off. Integers only: nothing is rounded.
BLOCKS_TO_INT8 = """
  zero = Constant <value = int64[1] {0}> ()
  one = Constant <value = int64[1] {1}> ()
  two = Constant <value = int64[1] {2}> ()
  three = Constant <value = int64[1] {3}> ()
  four = Constant <value = int64[1] {4}> ()
  last = Constant <value = int64[1] {-1}> ()
  axis = Constant <value = int64 {0}> ()
  none = Constant <value = int64[2] {0, 0}> ()
  both = Constant <value = int64[2] {0, 1}> ()
  ptr = Cast <to = 7> (row_ptr)
  cols = Cast <to = 7> (col_idx)
  starts = Slice (ptr, one, last, zero)
  nnz = Shape (col_idx)
  slots = Add (nnz, one)
  unmarked = ConstantOfShape <value = int64[1] {0}> (slots)
  n_starts = Shape (starts)
  ones = Expand (one, n_starts)
  marks = ScatterElements <axis = 0, reduction = "add"> (unmarked, starts, ones)
  row_of = CumSum (marks, axis)
  rows = Slice (row_of, zero, last, zero)
  n_ptr = Shape (row_ptr)
  n_rows = Sub (n_ptr, one)
  outputs = Slice (weight_shape, zero, one, zero)
  channels = Slice (weight_shape, one, two, zero)
  window = Slice (weight_shape, two, four, zero)
  sides = Concat <axis = 0> (one, window)
  taps = ReduceProd (sides)
  rounded = Add (channels, three)
  groups = Div (rounded, four)
  n_cols = Mul (groups, taps)
  base = Mul (rows, n_cols)
  index = Add (base, cols)
  places = Unsqueeze (index, one)
  held = Shape (values)
  block = Slice (held, one, three, zero)
  area = ReduceProd (block)
  height = Div (area, four)
  by_line = Concat <axis = 0> (zero, area)
  lines = Reshape (values, by_line)
  size = Mul (n_rows, n_cols)
  cells = Concat <axis = 0> (size, area)
  empty = ConstantOfShape <value = int8[1] {0}> (cells)
  filled = ScatterND (empty, places, lines)
  split = Concat <axis = 0> (n_rows, groups, taps, height, four)
  in_blocks = Reshape (filled, split)
  by_channel = Transpose <perm = [0, 3, 1, 4, 2]> (in_blocks)
  all_rows = Mul (n_rows, height)
  all_channels = Mul (groups, four)
  padded_shape = Concat <axis = 0> (all_rows, all_channels, taps)
  padded = Reshape (by_channel, padded_shape)
  kept = Concat <axis = 0> (outputs, channels)
  there = Slice (padded, none, kept, both)
  W = Reshape (there, weight_shape)
"""
# A bias is on the grid of the products, so that it is added as an integer. The zero points are 0 where they are left
# out, but ONNX Runtime then makes no QGemm.
_REAL_WEIGHTS = """
  n_scales = Shape (w_scale)
  w_zero = ConstantOfShape <value = int8[1] {0}> (n_scales)
  w = DequantizeLinear <axis = 0> (W, w_scale, w_zero)
  b_scale = Mul (x_scale, w_scale)
  b_zero = ConstantOfShape <value = int32[1] {0}> (n_scales)
  b = DequantizeLinear <axis = 0> (bias, b_scale, b_zero)
"""
_REAL_INPUT = " x = DequantizeLinear (X, x_scale, x_zero) "
_CODES = " Y = QuantizeLinear (y, y_scale, y_zero) "
_WINDOW = "strides: ints = @strides, pads: ints = @pads, dilations: ints = @dilations"
CONV = f"{_REAL_INPUT} {_REAL_WEIGHTS} y = Conv <{_WINDOW}> (x, w, b) {_CODES}"
DEPTHWISE_CONV = f"{_REAL_INPUT} {_REAL_WEIGHTS} y = Conv <{_WINDOW}, group: int = @group> (x, w, b) {_CODES}"
# Shapes change while the values are codes, as runtimes look for products directly between their ends.
_GEMM = f"""
  flat = Flatten <axis = 1> (X)
  x = DequantizeLinear (flat, x_scale, x_zero)
  {_REAL_WEIGHTS}
"""
GEMM = f"""
  {_GEMM}
  y = Gemm <transB = 1> (x, w, b)
  row = QuantizeLinear (y, y_scale, y_zero)
  places_of_sides = Constant <value = int64[2] {{2, 3}}> ()
  Y = Unsqueeze (row, places_of_sides)
"""
GEMM_FLOAT = f"{_GEMM} Y = Gemm <transB = 1> (x, w, b)"
QUANTIZE = " Y = QuantizeLinear (X, y_scale, y_zero) "
DEQUANTIZE = " Y = DequantizeLinear (X, x_scale, x_zero) "
_BOTH_INPUTS = f"{_REAL_INPUT} r = DequantizeLinear (second, second_scale, second_zero)"
ADD = f"{_BOTH_INPUTS} y = Add (x, r) {_CODES}"
MUL = f"{_BOTH_INPUTS} y = Mul (x, r) {_CODES}"
GLOBAL_AVERAGE_POOL = f"{_REAL_INPUT} y = GlobalAveragePool (x) {_CODES}"
MAX_POOL = f"""
  {_REAL_INPUT}
  y = MaxPool <kernel_shape: ints = @kernel_shape, strides: ints = @strides, pads: ints = @pads> (x)
  Y = QuantizeLinear (y, x_scale, x_zero)
"""
TABLE = " code = Cast <to = 6> (X) Y = Gather (table, code) "
