"""Round trips, a packing by hand, and every rule of N:M weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import sparse_models
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from exporters.errors import CsrError
from exporters.weights import csr, nm

WEIGHTS = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=9),
    elements=st.one_of(st.just(0.0), st.just(-0.0), st.floats(width=32)),
)


@given(WEIGHTS, st.integers(2, 16))
def test_dense_weights_come_back(weight: np.ndarray, m: int) -> None:
    made = nm.from_dense(weight, m)
    assert np.array_equal(nm.to_dense(made), weight, equal_nan=True)
    assert made.nnz == np.count_nonzero(weight)
    if made.n < m:
        nm.validate(made.values, made.index, m, weight.shape)


def test_the_example_of_the_docstring() -> None:
    made = nm.from_dense(np.array([[0, 5, 0, 7, 0, 8]], np.float32), 4)
    assert made.values.tolist() == [[[[5, 7]], [[0, 8]]]]
    assert made.index.tolist() == [0b01_00_11_01]


@pytest.mark.parametrize(("n", "m"), [(1, 2), (2, 4), (1, 4), (4, 8), (3, 7), (2, 16)])
def test_a_pattern_is_found_and_takes_fewer_bytes(n: int, m: int) -> None:
    weight = sparse_models.random_nm(np.random.default_rng(0), (16, 5 * m, 3, 3), n, m)
    plain = csr.from_dense(weight)
    found = nm.from_dense(weight, nm.find_group(weight, plain))
    assert (found.n, found.m) == (n, m)
    assert found.nbytes == found.values.nbytes + -(-weight.size // m * n * nm.bits_of(m) // 8) + 32 < plain.nbytes
    halves = csr.in_half_precision(plain)
    assert nm.in_half_precision(found).nbytes < halves.nbytes


def test_no_pattern_is_found_where_csr_is_smaller() -> None:
    rng = np.random.default_rng(0)
    for weight in (
        sparse_models.random_sparse(rng, (16, 64), 0.8),
        sparse_models.random_sparse(rng, (16, 64), 0),
        np.zeros((4, 8), np.float32),
        sparse_models.random_nm(rng, (4, 64), 1, 16) * (rng.random((4, 64)) < 0.3),
    ):
        assert nm.find_group(weight.astype(np.float32), csr.from_dense(weight.astype(np.float32))) == 0


GOOD = nm.from_dense(sparse_models.random_nm(np.random.default_rng(1), (2, 10, 1, 1), 2, 5), 5)  # 8 slots of 3 bits
SHORT = nm.from_dense(sparse_models.random_nm(np.random.default_rng(1), (1, 6), 2, 4), 4)
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "types": ({"values": GOOD.values.astype(np.float64)}, "types"),
    "index type": ({"index": GOOD.index.astype(np.int32)}, "types"),
    "ranks": ({"values": GOOD.values[0]}, "four dimensions"),
    "m": ({"m": 17}, "groups of 17"),
    "n": ({"m": 2}, "values has shape"),
    "rows": ({"shape": (3, 10, 1, 1)}, "values has shape"),
    "groups": ({"shape": (2, 11, 1, 1)}, "values has shape"),
    "taps": ({"shape": (2, 10, 2, 1)}, "values has shape"),
    "no weight": ({"shape": (2, 0, 1, 1)}, "not that of a weight"),
    "a huge row": ({"shape": (2, 2**20, 2**20, 1)}, "not that of a weight"),
    "bytes": ({"index": GOOD.index[:-1]}, "index has 2 bytes"),
    "outside": ({"index": np.array([0b110_001, 0, 0], np.uint8)}, "outside its group"),
    "ascending": ({"index": np.zeros(3, np.uint8)}, "ascend strictly"),
    "beyond": (
        {"values": SHORT.values + 1, "index": np.array([0b10_00_01_00], np.uint8), "m": 4, "shape": (1, 6)},
        "beyond the last channel",
    ),
    "bits": (
        {"values": SHORT.values[:, :1], "index": np.array([0b10000100], np.uint8), "m": 4, "shape": (1, 4)},
        "bits beyond the last slot",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_each_rule_is_checked(name: str) -> None:
    changes, words = WRONG[name]
    wrong = replace(GOOD, **changes)
    with pytest.raises(CsrError, match=words):
        nm.validate(wrong.values, wrong.index, wrong.m, wrong.shape)
