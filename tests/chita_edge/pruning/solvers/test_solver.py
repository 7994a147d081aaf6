"""What every solver promises."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from chita_edge.pruning import (
    PATTERNS,
    SOLVERS,
    Constraint,
    Problem,
    UnknownNameError,
    get_pattern,
    get_solver,
)

Make = Callable[..., Problem]
Keep = Callable[[Problem, int | tuple[int, ...]], Constraint]


@pytest.mark.parametrize("name", list(SOLVERS))
@pytest.mark.parametrize("count", [0, 1, 57, 200, 299, 300])
@pytest.mark.parametrize("first_order", [0.0, 1.0])
def test_support_is_exactly_the_budget(
    name: str, count: int, first_order: float, random_problem: Make, keep: Keep
) -> None:
    problem = random_problem(((10, 20), (5, 20)), 30, first_order=first_order)
    solution = get_solver(name).solve(problem, keep(problem, count))
    assert int(solution.mask.sum()) == count
    assert not solution.weights[~solution.mask].any()
    assert solution.weights.isfinite().all()
    assert solution.objective == pytest.approx(problem.objective(solution.weights), rel=1e-5)


@pytest.mark.parametrize("name", list(SOLVERS))
def test_layer_budgets_are_kept(name: str, random_problem: Make, keep: Keep) -> None:
    problem = random_problem(((10, 20), (5, 20)), 30)
    constraint = keep(problem, (20, 60))
    assert constraint.counts(get_solver(name).solve(problem, constraint).mask) == (20, 60)


@pytest.mark.parametrize("name", list(SOLVERS))
def test_same_input_same_bytes(name: str, random_problem: Make, keep: Keep) -> None:
    problem = random_problem(((10, 20), (5, 20)), 30)
    first, second = (get_solver(name).solve(problem, keep(problem, 60)) for _ in range(2))
    assert torch.equal(first.weights, second.weights)
    assert torch.equal(first.mask, second.mask)


@pytest.mark.parametrize("name", list(SOLVERS))
def test_reports_progress_to_its_end(name: str, random_problem: Make, keep: Keep) -> None:
    problem = random_problem()
    seen: list[tuple[str, int, int]] = []
    get_solver(name).solve(problem, keep(problem, 5), lambda *step: seen.append(step))
    assert seen[0][:2] == ("solve", 0)
    assert seen[-1][1] == seen[-1][2]
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)


@pytest.mark.parametrize("name", list(SOLVERS))
def test_leaves_the_problem_untouched(name: str, random_problem: Make, keep: Keep) -> None:
    problem, untouched = random_problem(), random_problem()
    get_solver(name).solve(problem, keep(problem, 5))
    assert torch.equal(problem.dense, untouched.dense)
    for layer, other in zip(problem.layers, untouched.layers, strict=True):
        assert torch.equal(layer.weight, other.weight)
        assert torch.equal(layer.gradients, other.gradients)


def test_registry() -> None:
    assert all(get_solver(name).name == name for name in SOLVERS)
    with pytest.raises(UnknownNameError, match=r"no solver 'luck'; there are: .*magnitude, mfac, obd"):
        get_solver("luck")


@pytest.mark.parametrize("name", list(SOLVERS))
@pytest.mark.parametrize("structure", list(PATTERNS))
def test_every_pattern_is_kept(name: str, structure: str, random_problem: Make) -> None:
    problem = random_problem(((8, 20), (6, 16)), 30)
    pattern = get_pattern(structure)
    solution = get_solver(name).solve(problem, Constraint(pattern, problem.shapes, 128))
    assert 0 < int(solution.mask.sum()) <= 128
    assert not solution.weights[~solution.mask].any()
    for shape, (start, stop) in zip(problem.shapes, problem.bounds, strict=True):
        mask = solution.mask[start:stop].view(shape)
        again = Constraint(pattern, (shape,), int(mask.sum())).project(mask.float().flatten())
        assert torch.equal(again.view(shape), mask)
