"""Costs between and beyond the points of a grid."""

from __future__ import annotations

import numpy as np
import pytest

from runtimes.cost_grids import CostGrid, parse_grid

TABLE = {
    "axes": {"rows": [1, 16], "inputs": [8, 32, 128]},
    "densities": [0.1, 0.5],
    "points": [[1, 1, 2], [4, 2, 3], [16, 4, 8], [16, 2, 9], [64, 8, 32], [256, 16, 64]],
}
GRID = parse_grid(TABLE)


def test_a_point_costs_what_was_measured() -> None:
    assert GRID.cost({"rows": 1, "inputs": 32}, 0.1) == pytest.approx((4, 2))
    assert GRID.cost({"rows": 16, "inputs": 128}, 0.5) == pytest.approx((256, 64))


def test_between_points_logarithms_are_linear_and_densities_too() -> None:
    assert GRID.cost({"rows": 4, "inputs": 32}, 0.1) == pytest.approx((16, 4))
    assert GRID.cost({"rows": 1, "inputs": 64}, 0.1)[0] == pytest.approx(8)
    assert GRID.cost({"rows": 1, "inputs": 32}, 0.3)[1] == pytest.approx(2.5)


def test_a_product_of_sizes_is_met_exactly() -> None:
    sizes = np.array([2.0, 8, 32])
    work = np.multiply.outer(sizes, sizes)
    grid = CostGrid({"rows": (2, 8, 32), "inputs": (2, 8, 32)}, (1.0,), 3 * work, work[..., None])
    for rows, inputs in ((2, 2), (3, 20), (17, 5), (32, 32), (100, 7), (64, 64)):
        assert grid.cost({"rows": rows, "inputs": inputs}, 1.0) == pytest.approx((3 * rows * inputs, rows * inputs))


def test_below_the_smallest_size_its_cost_stays_and_beyond_the_largest_it_grows_with_the_work() -> None:
    assert GRID.cost({"rows": 1, "inputs": 1}, 0.1) == pytest.approx((1, 1))
    assert GRID.cost({"rows": 32, "inputs": 256}, 0.1) == pytest.approx((4 * 256, 4 * 16))


def test_a_cost_does_not_fall_with_density_and_stays_beyond_the_densities() -> None:
    falling = CostGrid({"rows": (1,)}, (0.1, 0.5), np.array([5.0]), np.array([[3.0, 2.0]]))
    assert [falling.cost({"rows": 1}, density)[1] for density in (0.0, 0.1, 0.3, 1.0)] == pytest.approx([3] * 4)
