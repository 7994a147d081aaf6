"""Round trips and scipy as the oracle."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from exporters.errors import CsrError
from exporters.weights import csr

WEIGHTS = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=7),
    elements=st.one_of(st.just(0.0), st.just(-0.0), st.floats(width=32)),
)


@given(WEIGHTS)
def test_dense_weights_come_back(weight: np.ndarray) -> None:
    made = csr.from_dense(weight)
    assert np.array_equal(csr.to_dense(made), weight, equal_nan=True)
    assert made.shape == weight.shape
    csr.validate(made.values, made.col_idx, made.row_ptr, made.shape)


@given(WEIGHTS)
def test_equals_scipy(weight: np.ndarray) -> None:
    made = csr.from_dense(weight)
    oracle = scipy.sparse.csr_matrix(weight.reshape(weight.shape[0], -1))
    assert np.array_equal(made.values, oracle.data, equal_nan=True)
    assert np.array_equal(made.col_idx, oracle.indices)
    assert np.array_equal(made.row_ptr, oracle.indptr)
    assert made.nnz == oracle.nnz


@given(WEIGHTS, st.sampled_from([2, 4]))
def test_blocks_hold_the_rows_that_they_stand_for(weight: np.ndarray, block_rows: int) -> None:
    weight = np.repeat(weight, block_rows, axis=0)
    made = csr.from_dense(weight, block_rows)
    assert np.array_equal(csr.to_dense(made), weight, equal_nan=True)
    assert made.block_rows == block_rows
    csr.validate(made.values, made.col_idx, made.row_ptr, made.shape)
    # Row by row every column has its own value and number; in blocks the number is shared.
    assert made.nnz == csr.from_dense(weight).nnz
    assert not 0 < made.nnz < weight.size or csr.find_blocks(weight) >= block_rows


def test_blocks_are_only_found_where_they_save_bytes() -> None:
    weight = np.zeros((8, 300), np.float32)
    weight[::2, :100] = 1  # half of each block would be zeros that are stored
    assert csr.find_blocks(weight) == 1
    weight[1::2, :100] = 1
    assert csr.find_blocks(weight) == 4
    weight[4:6, 100:200] = 1
    assert csr.find_blocks(weight) == 4  # few halves of blocks: shared numbers save more than zeros cost
    weight[2:4, :100] = 0
    weight[4:6, 100:300] = 1
    assert csr.find_blocks(weight) == 2
    scattered = np.ones((8, 64), np.float32)
    scattered[np.arange(8), np.arange(8)] = 0
    assert csr.from_dense(scattered, 4).nbytes < csr.from_dense(scattered).nbytes
    assert csr.find_blocks(scattered) == 1  # smaller, but the blocks leave out none of the zeros
    assert csr.find_blocks(np.ones((7, 9), np.float32)) == 1  # no whole number of blocks
    assert csr.find_blocks(np.zeros((8, 9), np.float32)) == csr.find_blocks(np.ones((8, 9), np.float32)) == 1


@pytest.mark.parametrize(
    ("values", "shape", "message"),
    [
        (np.ones((1, 3), np.float32), (3, 4), "rows of values have 3 entries"),
        (np.ones((1, 1), np.float32), (1, 4), "rows of values have 1 entries"),
        (np.ones((1, 2), np.float32), (3, 4), "no whole number of blocks"),
        (np.ones((1, 2), np.float32), (4, 4), "row_ptr has 2 entries for 2 rows"),
        (np.ones((2, 2), np.float32), (2, 4), "2 values and 1 column"),
        (np.ones((1, 2, 1), np.float32), (2, 4), "one dimension"),
    ],
)
def test_arrays_that_are_no_blocks_are_refused(values: np.ndarray, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(CsrError, match=message):
        csr.validate(values, np.zeros(1, np.uint8), np.array([0, 1], np.int32), shape)


def test_bytes_are_counted() -> None:
    made = csr.from_dense(np.array([[0, 5, 0, 0], [0, 0, 0, 0], [7, 0, 0, 8]], np.float32))
    assert made.values.tolist() == [5, 7, 8]
    assert made.col_idx.tolist() == [1, 0, 3]
    assert made.row_ptr.tolist() == [0, 1, 1, 3]
    assert made.nbytes == 3 * 4 + 3 * 1 + 4 * 4 + 2 * 8


GOOD = {"values": [1.0, 2.0, 3.0], "col_idx": [1, 0, 3], "row_ptr": [0, 1, 1, 3], "shape": (3, 4)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"row_ptr": [1, 1, 1, 3]}, "rise from 0"),
        ({"row_ptr": [0, 2, 1, 3]}, "never fall"),
        ({"row_ptr": [0, 1, 1, 2]}, "to 3"),
        ({"row_ptr": [0, 1, 3]}, "3 entries for 3 rows"),
        ({"row_ptr": [[0, 1, 1, 3]]}, "one dimension"),
        ({"row_ptr": [0, -1, 1, 3]}, "never fall"),
        ({"col_idx": [1, 0, 4]}, "outside"),
        ({"col_idx": [1, 3, 0]}, "ascend"),
        ({"col_idx": [1, 3, 3]}, "ascend"),
        ({"col_idx": [1, 0]}, "3 values and 2 column"),
        ({"shape": (3, 0)}, "positive"),
        ({"shape": (3,)}, "two or more"),
        ({"shape": (3, 2**31)}, "int32"),
        ({"shape": (-3, -4)}, "positive"),
    ],
)
def test_what_is_no_csr_is_refused(change: dict[str, object], message: str) -> None:
    parts = {**GOOD, **change}
    with pytest.raises(CsrError, match=message):
        csr.validate(
            np.array(parts["values"], np.float32),
            np.array(parts["col_idx"], np.int32),
            np.array(parts["row_ptr"], np.int32),
            parts["shape"],
        )


@pytest.mark.parametrize("dtypes", [("f8", "i4", "i4"), ("f4", "i8", "i4"), ("f4", "u1", "i8")])
def test_other_types_are_refused(dtypes: tuple[str, str, str]) -> None:
    arrays = [
        np.array(GOOD[key]).astype(dtype) for key, dtype in zip(("values", "col_idx", "row_ptr"), dtypes, strict=True)
    ]
    with pytest.raises(CsrError, match="types"):
        csr.validate(*arrays, (3, 4))


def test_nan_and_infinity_are_legal_values() -> None:
    made = csr.validate(
        np.array([np.nan, np.inf], np.float32), np.array([0, 1], np.uint8), np.array([0, 2], np.int32), (1, 2)
    )
    assert np.isnan(csr.to_dense(made)[0, 0])
