"""Sparse weights as the kernels of ``native/edge.h`` take them, packed from dense ones: for tests and benchmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Csr:
    """Compressed rows of a matrix: float32 ``values`` and int32 ``col_idx`` [nnz], int32 ``row_ptr`` [rows + 1].

    With blocks of R rows: ``values`` [nnz, R], and the rows of the others are blocks.
    """

    values: Array
    col_idx: npt.NDArray[np.int32]
    row_ptr: npt.NDArray[np.int32]

    @classmethod
    def of(cls, matrix: Array) -> Csr:
        """The rows of a dense 2-D matrix; what is not 0 (NaN included) is kept."""
        kept = matrix != 0
        counts = np.concatenate([[0], np.cumsum(kept.sum(1))])
        return cls(
            np.ascontiguousarray(matrix[kept], np.float32),
            np.nonzero(kept)[1].astype(np.int32),
            counts.astype(np.int32),
        )

    @classmethod
    def of_blocks(cls, matrix: Array, block_rows: int) -> Csr:
        """The columns of each ``block_rows`` rows of a matrix in which one of them is not 0."""
        blocks = matrix.reshape(-1, block_rows, matrix.shape[1])
        kept = (blocks != 0).any(1)
        counts = np.concatenate([[0], np.cumsum(kept.sum(1))])
        return cls(
            np.ascontiguousarray(blocks.transpose(0, 2, 1)[kept], np.float32),
            np.nonzero(kept)[1].astype(np.int32),
            counts.astype(np.int32),
        )


@dataclass(frozen=True)
class NmWeight:
    """N:M weights: float32 ``values`` [rows, groups, taps, n] and packed ``index``; ``edge.h`` says how."""

    values: Array
    index: npt.NDArray[np.uint8]
    m: int

    @classmethod
    def of(cls, matrix: Array, m: int, taps: int = 1) -> NmWeight:
        """The columns (in_channel, tap) of a dense 2-D matrix in groups of ``m`` channels, as full as the fullest."""
        rows, channels, bits = len(matrix), matrix.shape[1] // taps, (m - 1).bit_length()
        groups = -(-channels // m)
        cells = np.zeros((rows, groups * m, taps), np.float32)
        cells[:, :channels] = matrix.reshape(rows, channels, taps)
        cells = cells.reshape(rows, groups, m, taps).transpose(0, 1, 3, 2)
        n = max(1, int((cells != 0).sum(3).max()))
        places = np.sort(np.argsort(cells == 0, axis=3, kind="stable")[..., :n], axis=3)
        digits = (places.reshape(-1, 1) >> np.arange(bits) & 1).astype(np.uint8)
        values = np.ascontiguousarray(np.take_along_axis(cells, places, 3))
        return cls(values, np.packbits(digits.reshape(-1), bitorder="little"), m)
