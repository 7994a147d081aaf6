from __future__ import annotations

import pytest
import torch

from chita_edge.pruning import Constraint, get_pattern
from chita_edge.pruning.allocation.curvature_weighted_budget import curvature_weighted_budget

RNG = torch.Generator().manual_seed(0)
WEIGHTS = (torch.randn(8, 8, generator=RNG), torch.randn(4, 8, generator=RNG))
SHAPES = tuple(weight.shape for weight in WEIGHTS)


def test_exponent_zero_is_magnitude_and_one_is_obd() -> None:
    constraint = Constraint(get_pattern("unstructured"), SHAPES, 40)
    for exponent in (0.0, 1.0, -0.5):
        scores = torch.cat([w.flatten().square() * h**exponent for w, h in zip(WEIGHTS, (4.0, 0.5), strict=True)])
        expected = constraint.counts(scores >= scores.sort(descending=True).values[39])
        assert curvature_weighted_budget(constraint, WEIGHTS, (4.0, 0.5), exponent).keep == expected


def test_a_layer_without_curvature_is_no_infinity() -> None:
    constraint = Constraint(get_pattern("unstructured"), SHAPES, 40)
    kept = curvature_weighted_budget(constraint, WEIGHTS, (1.0, 0.0), -0.4).keep
    assert isinstance(kept, tuple)
    assert sum(kept) == 40
    assert kept[1] > 20
    assert sum(curvature_weighted_budget(constraint, WEIGHTS, (0.0, 0.0), -0.4).keep) == 40  # type: ignore[arg-type]


@pytest.mark.parametrize("structure", ["2:4", "1x4"])
def test_patterns_keep_their_budget(structure: str) -> None:
    constraint = Constraint(get_pattern(structure), SHAPES, 48)
    kept = curvature_weighted_budget(constraint, WEIGHTS, (3.0, 0.1), -0.4).keep
    assert kept == (32, 16) if structure == "2:4" else sum(kept) == 48  # type: ignore[arg-type]


def test_layer_budgets_stay() -> None:
    constraint = Constraint(get_pattern("unstructured"), SHAPES, (10, 20))
    assert curvature_weighted_budget(constraint, WEIGHTS, (1.0, 2.0), -0.4) is constraint
