"""Blocks of int8 weights: the inverse of packing, sizes, and every rule of validation."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from q_models import blocked

from exporters.errors import CsrError
from exporters.weights import blocks

Array = npt.NDArray[Any]
SHAPES = [(8, 16), (7, 9), (1, 1), (5, 3, 3, 3), (6, 8, 1, 1), (3, 10, 5, 3)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("height", [1, 2])
@pytest.mark.parametrize("density", [0.0, 0.3, 1.0])
def test_packing_and_back(shape: tuple[int, ...], height: int, density: float, rng: np.random.Generator) -> None:
    weight = blocked(rng, shape, height, density)
    stored = blocks.from_dense(weight, height)
    np.testing.assert_array_equal(blocks.to_dense(stored), weight)
    assert blocks.count(weight, height) == len(stored.values)
    assert (stored.height, stored.format) == (height, f"{height}x4")
    checked = blocks.validate(stored.values, stored.col_idx, stored.row_ptr, shape)
    assert checked.shape == shape


def test_the_worked_example() -> None:
    stored = blocks.from_dense(np.array([[0, 0, 0, 0, 5, 0], [0, 7, 0, 8, 0, 0]], np.int8))
    assert stored.values.tolist() == [[5, 0, 0, 0], [0, 7, 0, 8]]
    assert stored.col_idx.tolist() == [1, 0]
    assert stored.row_ptr.tolist() == [0, 1, 2]


def test_a_column_is_group_then_window() -> None:
    weight = np.zeros((1, 8, 3, 2), np.int8)
    weight[0, 4 + 3, 2, 1] = 9
    stored = blocks.from_dense(weight)
    assert stored.col_idx.tolist() == [(1 * 3 + 2) * 2 + 1]
    assert stored.values.tolist() == [[0, 0, 0, 9]]


@pytest.mark.parametrize(
    ("channels", "dtype"), [(1024, np.uint8), (1028, np.uint16), (4 * 65536, np.uint16), (4 * 65537, np.int32)]
)
def test_columns_are_as_narrow_as_fits(channels: int, dtype: Any) -> None:
    assert blocks.from_dense(np.ones((1, channels), np.int8)).col_idx.dtype == dtype


def test_the_pointwise_layers_of_mobilenet_v1_fit_a_megabyte(rng: np.random.Generator) -> None:
    widths = [32, 64, 128, 128, 256, 256, *[512] * 6, 1024, 1024]
    stored = [
        blocks.from_dense(blocked(rng, (outputs, inputs, 1, 1), 1, 0.25))
        for inputs, outputs in itertools.pairwise(widths)
    ]
    assert len(stored) == 13
    assert sum(one.values.nbytes + one.col_idx.nbytes for one in stored) <= 1.0e6
    assert sum(one.nbytes for one in stored) <= 1.01e6  # with the ends of rows


def valid() -> dict[str, Any]:
    return {
        "values": np.arange(1, 13, dtype=np.int8).reshape(3, 4),
        "col_idx": np.array([0, 2, 1], np.uint8),
        "row_ptr": np.array([0, 2, 3], np.int32),
        "shape": (2, 12),
    }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"values": np.ones((3, 4), np.uint8)}, "types are"),
        ({"col_idx": np.array([0, 2, 1], np.int64)}, "types are"),
        ({"row_ptr": np.array([0, 2, 3], np.int64)}, "types are"),
        ({"values": np.ones((3, 3), np.int8)}, "must have the shape"),
        ({"values": np.ones((3, 3, 4), np.int8)}, "must have the shape"),
        ({"values": np.ones(12, np.int8)}, "must have the shape"),
        ({"col_idx": np.array([[0, 2, 1]], np.uint8)}, "must have the shape"),
        ({"shape": (2,)}, "positive dimensions"),
        ({"shape": (2, 12, 1)}, "positive dimensions"),
        ({"shape": (2, 0)}, "positive dimensions"),
        ({"shape": (2, 2**33)}, "than int32 counts"),
        ({"shape": (3, 12)}, "row_ptr has 3 entries"),
        ({"values": np.ones((3, 2, 4), np.int8)}, "row_ptr has 3 entries for 1 rows"),
        ({"values": np.ones((2, 4), np.int8)}, "there are 2 blocks"),
        ({"row_ptr": np.array([1, 2, 3], np.int32)}, "must rise"),
        ({"row_ptr": np.array([0, 2, 2], np.int32)}, "must rise"),
        ({"row_ptr": np.array([0, 4, 3], np.int32)}, "must rise"),
        ({"row_ptr": np.array([0, -1, 3], np.int32)}, "must rise"),
        ({"col_idx": np.array([0, 3, 1], np.uint8)}, "outside 0…2"),
        ({"col_idx": np.array([0, -1, 1], np.int32)}, "outside 0…2"),
        ({"col_idx": np.array([2, 0, 1], np.uint8)}, "ascend strictly"),
        ({"col_idx": np.array([2, 2, 1], np.uint8)}, "ascend strictly"),
    ],
)
def test_broken_rules_are_told(change: dict[str, Any], words: str) -> None:
    blocks.validate(*valid().values())
    with pytest.raises(CsrError, match=words):
        blocks.validate(*(valid() | change).values())
