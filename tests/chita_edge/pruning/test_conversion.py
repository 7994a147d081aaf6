from __future__ import annotations

from itertools import combinations, product

import pytest
import torch

from chita_edge.pruning import PATTERNS, Constraint, Layer, Problem, get_pattern, get_solver
from chita_edge.pruning.conversion import convert
from chita_edge.pruning.linalg.back_solve import back_solve

SHAPES = ((2, 8), (1, 4))


def problem(seed: int, shapes: tuple[tuple[int, ...], ...] = SHAPES, n: int = 12) -> Problem:
    """Gradients that share a signed part, as those of a trained network do."""
    rng = torch.Generator().manual_seed(seed)
    layers = []
    for number, shape in enumerate(shapes):
        p = torch.Size(shape).numel()
        shared = torch.randn(1, n, generator=rng) * torch.randn(p, 1, generator=rng).sign()
        columns = torch.randn(p, n, generator=rng) + shared
        layers.append(Layer(f"layer{number}", torch.randn(shape, generator=rng), columns))
    return Problem(tuple(layers), 1e-2)


def unstructured(given: Problem, keep: int) -> torch.Tensor:
    return get_solver("chita").solve(given, Constraint(get_pattern("unstructured"), given.shapes, keep)).weights


def best_2_of_4(given: Problem) -> float:
    """The least objective over all full 2:4 masks of `SHAPES`, by trying every one, in float64."""
    columns = torch.cat([layer.gradients for layer in given.layers]).double()
    hessian = columns @ columns.T + given.damping * torch.eye(len(columns), dtype=torch.float64)
    dense = given.dense.double()
    cells = [list(combinations(range(first, first + 4), 2)) for first in range(0, len(dense), 4)]
    supports = torch.tensor([sum(choice, ()) for choice in product(*cells)])
    right = (hessian @ dense)[supports]
    inner = hessian[supports[:, :, None], supports[:, None, :]]
    solved = torch.linalg.solve(inner, right[:, :, None])[:, :, 0]
    return float((0.5 * dense @ hessian @ dense - 0.5 * (right * solved).sum(1)).min())


def test_far_better_than_magnitude_and_close_to_the_best_of_all() -> None:
    by_magnitude, refitted, ratios = [], [], []
    for seed in range(7):
        given = problem(seed)
        start = unstructured(given, 10)
        constraint = Constraint(get_pattern("2:4"), given.shapes, 10)
        found = convert(given, start, constraint)
        best = best_2_of_4(given)
        mask = constraint.project(start.square())
        solved = torch.zeros_like(start)
        solved[mask] = back_solve(given.restrict(mask.nonzero()[:, 0]))
        by_magnitude.append(given.objective(start * mask) / found.objective)
        refitted.append(given.objective(solved) / found.objective)
        ratios.append(found.objective / best)
    assert min(ratios) > 1 - 1e-4
    assert sum(ratio < 1.001 for ratio in ratios) >= 5, ratios
    assert max(ratios) < 1.3, ratios
    assert min(by_magnitude) > 1
    assert sorted(by_magnitude)[3] > 4, by_magnitude
    assert min(refitted) > 1 - 1e-4
    assert sorted(refitted)[3] > 1.2, refitted


@pytest.mark.parametrize("structure", [*PATTERNS, "3:5"])
def test_in_the_pattern_and_never_worse_than_projecting(structure: str) -> None:
    given = problem(0, ((8, 20, 3, 1), (6, 16)), 30)
    start = unstructured(given, 288)
    constraint = Constraint(get_pattern(structure), given.shapes, 288)
    found = convert(given, start, constraint)
    assert 0 < int(found.mask.sum()) <= 288
    assert not found.weights[~found.mask].any()
    assert found.objective == pytest.approx(given.objective(found.weights), rel=1e-5)
    for shape, (first, last) in zip(given.shapes, given.bounds, strict=True):
        mask = found.mask[first:last]
        assert torch.equal(Constraint(get_pattern(structure), (shape,), int(mask.sum())).project(mask.float()), mask)
    assert found.objective <= found.trace[0]
    assert list(found.trace[1:]) == sorted(found.trace[1:], reverse=True)
    assert found.objective <= given.objective(start * constraint.project(start.square())) * (1 + 1e-6)


def test_free_places_go_to_dropped_weights() -> None:
    given = problem(3)
    start = torch.zeros_like(given.dense)
    start[0] = given.dense[0]
    found = convert(given, start, Constraint(get_pattern("2:4"), given.shapes, 10))
    assert int(found.mask.sum()) == 10


def test_a_network_that_has_the_pattern_only_gets_better() -> None:
    given = problem(4)
    constraint = Constraint(get_pattern("2:4"), given.shapes, 10)
    start = get_solver("chita").solve(given, constraint)
    assert convert(given, start.weights, constraint).objective <= start.objective * (1 + 1e-5)
