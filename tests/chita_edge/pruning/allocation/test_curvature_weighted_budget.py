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


@pytest.mark.parametrize("structure", ["unstructured", "1x4"])
def test_each_layer_keeps_the_least_density_and_the_others_share_the_rest(structure: str) -> None:
    rng = torch.Generator().manual_seed(1)
    weights = tuple(scale * torch.randn(16, 16, generator=rng) for scale in (1.0, 0.01, 1.2, 0.001))
    shapes = tuple(weight.shape for weight in weights)
    constraint = Constraint(get_pattern(structure), shapes, 200)
    alone = curvature_weighted_budget(constraint, weights, (1.0,) * 4, 0.0).keep
    assert isinstance(alone, tuple) and alone[1] == alone[3] == 0
    found = curvature_weighted_budget(constraint, weights, (1.0,) * 4, 0.0, least=0.4)
    assert isinstance(found.keep, tuple)
    assert found.keep[1] == found.keep[3] == int(0.4 * 200 / 1024 * 256) == 20
    rest = Constraint(get_pattern(structure), (shapes[0], shapes[2]), 160)
    assert (found.keep[0], found.keep[2]) == curvature_weighted_budget(rest, weights[::2], (1.0,) * 2, 0.0).keep
    even = curvature_weighted_budget(constraint, weights, (1.0,) * 4, 0.0, least=1.0).keep
    assert all(abs(count - 50) <= 50 for count in even) and sum(even) <= 200  # type: ignore[union-attr,arg-type]
