from __future__ import annotations

import pytest
import torch

from chita_edge.quantization import RANGES, Grid, QuantizationError, QuantizationOptionError
from chita_edge.quantization.ranges import find_grid, mse


def error(grid: Grid, values: torch.Tensor) -> float:
    return float((grid.dequantise(grid.quantise(values)) - values).square().mean())


@pytest.mark.parametrize("signed", [False, True])
def test_mse_is_the_best_of_all_ranges_and_the_others_of_their_definition(signed: bool) -> None:
    rng = torch.Generator().manual_seed(0)
    values = torch.randn(20_000, generator=rng) * torch.rand(20_000, generator=rng).square() * 3
    values = values if signed else values.relu()
    values[:2] = torch.tensor([40.0, -30.0 if signed else 0.0])
    grids = {name: find_grid(values, name) for name in RANGES}
    low = float(values.min())
    assert grids["min_max"] == Grid.spanning(low, 40.0)
    assert grids["percentile"].scale < 0.6 * grids["min_max"].scale
    shares = [0.4 + 0.05 * k for k in range(13)]
    best = min(error(Grid.spanning(low * a, 40.0 * b), values) for a in shares for b in shares)
    assert error(grids["mse"], values) <= 1.05 * best <= 1.05 * error(grids["min_max"], values)


def test_mse_of_what_fills_its_range_is_min_max() -> None:
    values = torch.linspace(0, 2, 5000)
    assert mse(values) == Grid.spanning(0.0, 2.0)


def test_values_that_are_no_numbers_and_unknown_ranges_are_named() -> None:
    with pytest.raises(QuantizationError, match="values of stem are not finite"):
        find_grid(torch.tensor([1.0, torch.nan]), "mse", "stem")
    with pytest.raises(QuantizationOptionError, match="'best'; there are: min_max"):
        find_grid(torch.ones(3), "best")
