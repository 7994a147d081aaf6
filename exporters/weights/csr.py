"""Compressed sparse rows: conversion between dense and (values, col_idx, row_ptr), and validation.

Rows may share their columns in blocks of 2 or 4: values [nnz, block], and a row of the others is a block.

Worked example, weight of shape (3, 4)::

    [[0, 5, 0, 0],        values  = [5, 7, 8]
     [0, 0, 0, 0],   →    col_idx = [1, 0, 3]
     [7, 0, 0, 8]]        row_ptr = [0, 1, 1, 3]
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from exporters.errors import CsrError
from exporters.weights.dtypes import INDEX_DTYPES, VALUE_DTYPES, Array, index_dtype, to_half

_INT32_MAX = 2**31 - 1
BLOCKS = (4, 2)


@dataclass(frozen=True, eq=False)
class Csr:
    """A matrix of ``shape[0]`` rows and ``prod(shape[1:])`` columns by its non-zeros, row by row, columns ascending.

    values: float32 or float16 (nnz,); (nnz, b) where each b rows are a block, which is a row of the others. col_idx:
    uint8, uint16 or int32 (nnz,). row_ptr: int32 (rows + 1,), row r occupies ``values[row_ptr[r]:row_ptr[r + 1]]``.
    shape: that of the dense weight, (M, K) or (M, C, kh, kw).
    """

    values: Array
    col_idx: Array
    row_ptr: Array
    shape: tuple[int, ...]

    @property
    def nnz(self) -> int:
        """Number of stored values."""
        return int(self.values.size)

    @property
    def block_rows(self) -> int:
        """Rows of the matrix that share their columns."""
        return int(self.values.shape[1]) if self.values.ndim == 2 else 1

    @property
    def format(self) -> str:
        """Name in reports."""
        return "csr" if self.block_rows == 1 else f"csr {self.block_rows}x1"

    @property
    def nbytes(self) -> int:
        """Bytes of the three arrays and of the shape as int64."""
        return int(self.values.nbytes + self.col_idx.nbytes + self.row_ptr.nbytes) + 8 * len(self.shape)


def from_dense(weight: Array, block_rows: int = 1) -> Csr:
    """CSR of a float32 weight of two or more dimensions; zeros, −0 among them, are not stored.

    block_rows: 2 or 4 where that many rows, which have to divide all, share their columns; zeros are then stored where
    another row of the block has none.
    Raises CsrError when rows, columns or non-zeros exceed int32.
    """
    matrix = np.ascontiguousarray(weight, dtype=np.float32).reshape(weight.shape[0] // block_rows, block_rows, -1)
    kept = np.any(matrix != 0, axis=1)
    rows, cols = np.nonzero(kept)
    if max(matrix.shape[0], rows.size) > _INT32_MAX // block_rows:
        raise CsrError(f"A weight of shape {weight.shape} has more non-zeros than int32 counts; leave it dense.")
    row_ptr = np.zeros(matrix.shape[0] + 1, np.int32)
    np.cumsum(np.bincount(rows, minlength=matrix.shape[0]), out=row_ptr[1:])
    values = matrix[rows, :, cols]
    cols = cols.astype(index_dtype(matrix.shape[2]))
    return Csr(values[:, 0].copy() if block_rows == 1 else values, cols, row_ptr, tuple(weight.shape))


def find_blocks(weight: Array) -> int:
    """Rows of the largest blocks that leave out at least half of the weight's zeros and take no more bytes; else 1.

    Without the first rule a weight with a few scattered zeros would be in blocks that leave out none.
    """
    plain = from_dense(weight)
    zeros = weight.size - plain.nnz
    for rows in BLOCKS if plain.nnz and zeros else ():
        if weight.shape[0] % rows == 0:
            blocks = from_dense(weight, rows)
            if 2 * (weight.size - blocks.values.size) >= zeros and blocks.nbytes <= plain.nbytes:
                return rows
    return 1


def in_half_precision(csr: Csr) -> Csr:
    """A copy with values rounded to float16, to nearest."""
    return replace(csr, values=to_half(csr.values))


def to_dense(csr: Csr) -> Array:
    """The float32 weight of ``csr.shape``; the inverse of :func:`from_dense`."""
    rows = csr.shape[0] // csr.block_rows
    dense = np.zeros((rows, csr.block_rows, math.prod(csr.shape[1:])), np.float32)
    dense[np.repeat(np.arange(rows), np.diff(csr.row_ptr)), :, csr.col_idx] = csr.values.reshape(-1, csr.block_rows)
    return dense.reshape(csr.shape)


def validate(values: Array, col_idx: Array, row_ptr: Array, shape: Sequence[int]) -> Csr:
    """Check that the arrays are a valid :class:`Csr`, and return it. NaN and infinity are legal values.

    Values of two dimensions are blocks of 2 or 4 rows, a row of them a block.
    Raises CsrError with the first rule that is broken: dtypes, ranks, positive dimensions, row_ptr of rows + 1
    entries from 0 up to nnz, never falling; columns in range and strictly ascending within a row.
    """
    if values.dtype not in VALUE_DTYPES or col_idx.dtype not in INDEX_DTYPES or row_ptr.dtype != np.int32:
        raise CsrError(
            f"types are {values.dtype}, {col_idx.dtype}, {row_ptr.dtype}, "
            "not float32 or float16 values, uint8/uint16/int32 col_idx and int32 row_ptr"
        )
    if values.ndim not in (1, 2) or col_idx.ndim != 1 or row_ptr.ndim != 1:
        raise CsrError("values, col_idx and row_ptr must each have one dimension")
    block = int(values.shape[1]) if values.ndim == 2 else 1
    if values.ndim == 2 and block not in BLOCKS:
        raise CsrError(f"the rows of values have {block} entries, not the 2 or 4 of a block")
    if len(shape) < 2 or min(shape) < 1:
        raise CsrError(f"weight_shape {list(shape)} must have two or more positive dimensions")
    rows, columns = shape[0] // block, math.prod(shape[1:])
    if shape[0] % block:
        raise CsrError(f"{shape[0]} rows are no whole number of blocks of {block}")
    if columns > _INT32_MAX:
        raise CsrError(f"weight_shape {list(shape)} has more columns than int32 counts")
    check_rows(len(values), "values", col_idx, row_ptr, rows, columns)
    return Csr(values, col_idx, row_ptr, tuple(int(d) for d in shape))


def check_rows(count: int, unit: str, col_idx: Array, row_ptr: Array, rows: int, columns: int) -> None:
    """Rows of ``count`` values or blocks, as ``unit`` calls them, with ascending columns; else raises CsrError."""
    if row_ptr.size != rows + 1:
        raise CsrError(f"row_ptr has {row_ptr.size} entries for {rows} rows, not {rows + 1}")
    if count != col_idx.size:
        raise CsrError(f"there are {count} {unit} and {col_idx.size} column indices")
    if row_ptr[0] != 0 or row_ptr[-1] != count or np.any(row_ptr[1:] < row_ptr[:-1]):
        raise CsrError(f"row_ptr must rise from 0 to {count} and never fall")
    cols = col_idx.astype(np.int64)
    if cols.size and (cols.min() < 0 or cols.max() >= columns):
        raise CsrError(f"a column index lies outside 0…{columns - 1}")
    keys = np.repeat(np.arange(rows, dtype=np.int64), np.diff(row_ptr)) * columns + cols
    if np.any(keys[1:] <= keys[:-1]):
        raise CsrError("column indices must ascend strictly within each row")
