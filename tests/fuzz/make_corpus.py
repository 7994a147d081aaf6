"""Writes the corpus of csr_harness.c: `python tests/fuzz/make_corpus.py`. Sound weights of many kinds, and broken ones.

Layout, little-endian: op (1: CsrGemm; else twice the output rows of a block, 0 for CSR), width of a column (0, 1, 2:
uint8, uint16, int32), number of dimensions, strides, pads, height and width, number of bias elements (uint16), of
values (of blocks), of columns, of row_ptr entries, two bytes of padding; then weight_shape int64, values float32,
col_idx, row_ptr int32.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

CORPUS = Path(__file__).parent / "corpus"
INDEX_TYPES = (np.uint8, np.uint16, np.int32)


def seed(
    dims: tuple[int, ...],
    values: npt.NDArray[np.float32],
    col_idx: npt.NDArray[np.integer],
    row_ptr: npt.NDArray[np.int32],
    *,
    width: int = 0,
    window: tuple[int, int, int] = (0, 0, 0x44),
    bias: int | None = None,
    block_rows: int = 0,
) -> bytes:
    strides, pads, size = window
    header = struct.pack(
        "<6B5H",
        *(2 * block_rows or int(len(dims) == 2), width, len(dims), strides, pads, size),
        *(dims[0] if bias is None else bias, len(values), len(col_idx), len(row_ptr), 0),
    )
    arrays = (np.array(dims, "<i8"), values.astype("<f4"), col_idx.astype(INDEX_TYPES[width]), row_ptr.astype("<i4"))
    return header + b"".join(array.tobytes() for array in arrays)


def csr(
    dims: tuple[int, ...], density: float, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    weight = np.where(rng.random(dims) < density, rng.normal(size=dims), 0).reshape(dims[0], -1).astype(np.float32)
    rows, columns = np.nonzero(weight)
    return weight[rows, columns], columns, np.searchsorted(rows, np.arange(dims[0] + 1)).astype(np.int32)


def blocks(
    dims: tuple[int, ...], block_rows: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    _, columns, row_ptr = csr((dims[0] // block_rows, *dims[1:]), 0.3, rng)
    return rng.normal(size=(len(columns), block_rows)).astype(np.float32), columns, row_ptr


def seeds() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    found: dict[str, bytes] = {}
    shapes = ((1, 1, 1, 1), (9, 17, 1, 1), (40, 33, 1, 1), (5, 3, 3, 3), (4, 6, 1, 5), (3, 7), (20, 130))
    for dims in shapes:
        for density in (0.0, 0.2, 1.0):
            for width in (0, 2) if density == 0.2 else (0,):
                name = f"{'x'.join(map(str, dims))}-{density:g}-{width}"
                found[name] = seed(dims, *csr(dims, density, rng), width=width, window=(5, 0x55, 0x76))
    other = np.random.default_rng(1)
    for rows in (2, 4):
        for dims in ((40, 33, 1, 1), (8, 3, 3, 3)):
            parts = blocks(dims, rows, other)
            found[f"{'x'.join(map(str, dims))}-blocks-{rows}"] = seed(
                dims, *parts, block_rows=rows, window=(5, 0x55, 0x76)
            )
    found["blocks-of-3"] = seed((9, 7, 1, 1), *blocks((9, 7, 1, 1), 3, other), block_rows=3)
    found["half-a-block"] = seed((10, 7, 1, 1), *blocks((12, 7, 1, 1), 4, other), block_rows=4)
    found["wide-rows"] = seed((3, 900), *csr((3, 900), 0.05, rng), width=1)
    values, columns, row_ptr = csr((6, 12, 1, 1), 0.5, rng)
    dims = (6, 12, 1, 1)
    found["nan-and-infinity"] = seed(dims, np.full_like(values, np.inf) * np.sign(values - 9), columns, row_ptr)
    found["unsorted"] = seed(dims, values, columns[::-1], row_ptr)
    found["repeated"] = seed(dims, values, columns * 0, row_ptr)
    found["outside"] = seed(dims, values, columns + 12, row_ptr)
    found["negative"] = seed(dims, values, columns - 20, row_ptr, width=2)
    found["falling"] = seed(dims, values, columns, row_ptr[::-1])
    found["too-far"] = seed(dims, values, columns, row_ptr * 2)
    found["wrapping"] = seed(dims, values, columns, np.where(row_ptr == row_ptr[2], 2**31 - 1, row_ptr))
    found["short-row_ptr"] = seed(dims, values, columns, row_ptr[:-1])
    found["short-bias"] = seed(dims, values, columns, row_ptr, bias=5)
    found["short-columns"] = seed(dims, values, columns[:-1], row_ptr)
    found["empty"] = seed(dims, values[:0], columns[:0], row_ptr[:0])
    for name, bad in {"zero": 0, "minus": -1, "large": 2**24 + 1, "huge": 2**62}.items():
        found[f"dimension-{name}"] = seed((6, bad, 1, 1), values, columns, row_ptr, bias=6)
    found["product-of-2-64"] = seed((6, 2**24, 2**10, 2**10), values, columns, row_ptr, bias=6)
    return found


def main() -> int:
    CORPUS.mkdir(exist_ok=True)
    for name, content in seeds().items():
        (CORPUS / name).write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
