"""Blocks of an int8 weight: conversion between dense and (values, col_idx, row_ptr), and validation.

A block is four input channels of one output (1x4), or of two outputs that share them (2x4), at one place of the
window. Channels past the last and a row past the last are zeros.

Worked example, 1x4, weight of shape (2, 6), whose rows have two blocks each, the second padded with two zeros::

    [[0, 0, 0, 0, 5, 0],   →    values = [[5, 0, 0, 0], [0, 7, 0, 8]], col_idx = [1, 0], row_ptr = [0, 1, 2]
     [0, 7, 0, 8, 0, 0]]
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from exporters.errors import CsrError
from exporters.weights.csr import check_rows
from exporters.weights.dtypes import INDEX_DTYPES, Array, index_dtype

WIDTH = 4
"""Input channels of a block: one word of the processors' dot products."""
HEIGHTS = (1, 2)
_INT32_MAX = 2**31 - 1


@dataclass(frozen=True, eq=False)
class Blocks:
    """An int8 weight by its blocks that hold a non-zero, row of blocks by row of blocks, columns ascending.

    values: int8 (nnz, 4), or (nnz, 2, 4) of two outputs. col_idx: uint8, uint16 or int32 (nnz,), the column of each:
    flat (input channel // 4, kh, kw). row_ptr: int32 (rows + 1,), one row for each output or pair of outputs.
    shape: that of the dense weight, (M, K) or (M, C, kh, kw).
    """

    values: Array
    col_idx: Array
    row_ptr: Array
    shape: tuple[int, ...]

    @property
    def height(self) -> int:
        """Outputs of a block: 1 or 2."""
        return self.values.shape[1] if self.values.ndim == 3 else 1

    @property
    def format(self) -> str:
        """Name for a report: ``1x4`` or ``2x4``."""
        return f"{self.height}x{WIDTH}"

    @property
    def nbytes(self) -> int:
        """Bytes of the three arrays and of the shape as int64."""
        return int(self.values.nbytes + self.col_idx.nbytes + self.row_ptr.nbytes) + 8 * len(self.shape)


def from_dense(weight: Array, height: int = 1) -> Blocks:
    """Blocks of an int8 weight (M, K) or (M, C, kh, kw); those that are zeros alone are not stored.

    height: outputs of a block, 1 or 2. Raises CsrError when int32 does not count the columns.
    """
    cells = _cells(weight, height)
    rows, cols = np.nonzero(cells.any(axis=(2, 3)))
    row_ptr = np.zeros(len(cells) + 1, np.int32)
    np.cumsum(np.bincount(rows, minlength=len(cells)), out=row_ptr[1:])
    values = cells[rows, cols]
    narrow = cols.astype(index_dtype(cells.shape[1]))
    return Blocks(values if height > 1 else values[:, 0], narrow, row_ptr, tuple(weight.shape))


def count(weight: Array, height: int = 1) -> int:
    """Blocks of a weight that hold a non-zero."""
    return int(np.count_nonzero(_cells(weight, height).any(axis=(2, 3))))


def to_dense(blocks: Blocks) -> Array:
    """The int8 weight of ``blocks.shape``; the inverse of :func:`from_dense`."""
    outputs, channels = blocks.shape[:2]
    taps, groups, rows = math.prod(blocks.shape[2:]), -(-channels // WIDTH), len(blocks.row_ptr) - 1
    cells = np.zeros((rows, groups * taps, blocks.height, WIDTH), np.int8)
    where = np.repeat(np.arange(rows), np.diff(blocks.row_ptr))
    cells[where, blocks.col_idx] = blocks.values.reshape(-1, blocks.height, WIDTH)
    by_channel = cells.reshape(rows, groups, taps, blocks.height, WIDTH).transpose(0, 3, 1, 4, 2)
    whole = by_channel.reshape(rows * blocks.height, groups * WIDTH, taps)
    return np.ascontiguousarray(whole[:outputs, :channels]).reshape(blocks.shape)


def validate(values: Array, col_idx: Array, row_ptr: Array, shape: Sequence[int]) -> Blocks:
    """Check that the arrays are valid :class:`Blocks`, and return them.

    Raises CsrError with the first rule that is broken: dtypes, shapes, positive dimensions, row_ptr of rows + 1 entries
    from 0 up to nnz, never falling; columns in range and strictly ascending within a row.
    """
    if values.dtype != np.int8 or col_idx.dtype not in INDEX_DTYPES or row_ptr.dtype != np.int32:
        raise CsrError(
            f"types are {values.dtype}, {col_idx.dtype}, {row_ptr.dtype}, "
            "not int8 values, uint8/uint16/int32 col_idx and int32 row_ptr"
        )
    if values.shape[1:] not in ((WIDTH,), (2, WIDTH)) or col_idx.ndim != 1 or row_ptr.ndim != 1:
        raise CsrError("values must have the shape [nnz, 4] or [nnz, 2, 4], col_idx and row_ptr one dimension")
    if len(shape) not in (2, 4) or min(shape) < 1:
        raise CsrError(f"weight_shape {list(shape)} must have two or four positive dimensions")
    height = 2 if values.ndim == 3 else 1
    rows, columns = -(-shape[0] // height), -(-shape[1] // WIDTH) * math.prod(shape[2:])
    if columns > _INT32_MAX or rows > _INT32_MAX:
        raise CsrError(f"weight_shape {list(shape)} has more rows or columns than int32 counts")
    check_rows(len(values), "blocks", col_idx, row_ptr, rows, columns)
    return Blocks(values, col_idx, row_ptr, tuple(int(side) for side in shape))


def _cells(weight: Array, height: int) -> Array:
    """The weight as [rows of blocks, columns, height, 4], padded with zeros."""
    outputs, channels, taps = weight.shape[0], weight.shape[1], math.prod(weight.shape[2:])
    rows, groups = -(-outputs // height), -(-channels // WIDTH)
    whole = np.zeros((rows * height, groups * WIDTH, taps), np.int8)
    whole[:outputs, :channels] = weight.reshape(outputs, channels, taps)
    by_block = whole.reshape(rows, height, groups, WIDTH, taps).transpose(0, 2, 4, 1, 3)
    return by_block.reshape(rows, groups * taps, height, WIDTH)
