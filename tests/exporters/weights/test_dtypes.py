"""Types of values and indices: what float16 would lose, and the smallest index type."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from exporters.errors import CsrError
from exporters.weights import dtypes


@pytest.mark.parametrize("axis", [0, 1])
def test_half_precision_is_judged_by_the_channel_that_loses_most(axis: int) -> None:
    weight = np.random.default_rng(0).normal(size=(8, 6, 3, 3)).astype(np.float32)
    assert 0 < dtypes.half_precision_error(weight) <= 2**-11
    index = [slice(None)] * 4
    index[axis] = slice(2, 3)
    weight[tuple(index)] *= 1e-6  # below 6.1e-5 float16 has fewer digits, and none at all below 3e-8
    assert dtypes.half_precision_error(weight) > 2**-8
    weight[tuple(index)] *= 1e-3
    assert dtypes.half_precision_error(weight) == pytest.approx(1)
    weight[tuple(index)] = 0
    assert dtypes.half_precision_error(weight) <= 2**-11
    weight[0, 0, 0, 0] = 65520
    assert dtypes.half_precision_error(weight) == np.inf


@given(hnp.arrays(np.float32, (3, 4), elements=st.floats(-60000, 60000, width=32)))
def test_the_loss_of_half_precision_bounds_every_channel(weight: np.ndarray) -> None:
    lost = weight.astype(np.float64) - weight.astype(np.float16)
    for axis in (0, 1):
        share = dtypes.half_precision_error(weight) * np.linalg.norm(weight.astype(np.float64), axis=axis)
        assert np.all(np.linalg.norm(lost, axis=axis) <= share * (1 + 1e-9))


@pytest.mark.parametrize(
    ("columns", "dtype"),
    [(1, np.uint8), (256, np.uint8), (257, np.uint16), (65536, np.uint16), (65537, np.int32), (2**31, np.int32)],
)
def test_column_indices_are_as_small_as_possible(columns: int, dtype: type) -> None:
    assert dtypes.index_dtype(columns) == dtype


def test_too_many_columns_are_refused() -> None:
    with pytest.raises(CsrError, match="int32"):
        dtypes.index_dtype(2**31 + 1)
