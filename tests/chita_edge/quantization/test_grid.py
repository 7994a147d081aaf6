from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from chita_edge.quantization.grid import Grid

ends = st.floats(-1e4, 1e4, width=32)


@given(ends, ends)
def test_zero_is_a_value_and_the_ends_are_within_half_a_step(first: float, second: float) -> None:
    low, high = min(first, second), max(first, second)
    grid = Grid.spanning(low, high)
    assert 0 <= grid.zero <= 255 and grid.scale > 0 and float(np.float32(grid.scale)) == grid.scale
    assert float(grid.dequantise(torch.tensor([grid.zero]))) == 0
    inner = torch.tensor([low, high, 0.0])
    error = (grid.dequantise(grid.quantise(inner)) - inner).abs().max()
    assert float(error) <= 1.001 * grid.scale


def test_rounds_ties_to_even_and_saturates() -> None:
    grid = Grid(1.0, 10)
    assert grid.quantise(torch.tensor([0.5, 1.5, -0.5, 300.0, -300.0])).tolist() == [10, 12, 10, 255, 0]


def test_codes_of_an_activations_bounds() -> None:
    grid = Grid(6 / 255, 0)
    assert (grid.code_of(0.0), grid.code_of(6.0), grid.code_of(float("inf")), grid.code_of(float("-inf"))) == (
        0, 255, 255, 0,
    )  # fmt: skip
    assert Grid.spanning(0.0, 0.0) == Grid(1.0, 0)
