from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chita_edge.pruning import Constraint, Problem, Solver, back_solve
from chita_edge.pruning.solvers.chita import Chita
from chita_edge.pruning.solvers.chita_reference import ChitaReference
from chita_edge.pruning.solvers.magnitude import Magnitude

Make = Callable[..., Problem]
Keep = Callable[[Problem, int | tuple[int, ...]], Constraint]
Best = Callable[[Problem, int], float]


@pytest.mark.parametrize("solver", [Chita(), ChitaReference()], ids=lambda solver: solver.name)
@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(1, 13),
    correlation=st.sampled_from([0.0, 1.0, 3.0]),
    rank=st.sampled_from([None, 2]),
    first_order=st.sampled_from([0.0, 1.0]),
)
def test_between_brute_force_and_magnitude(
    solver: Solver,
    seed: int,
    count: int,
    correlation: float,
    rank: int | None,
    first_order: float,
    random_problem: Make,
    keep: Keep,
    best_subset: Best,
) -> None:
    problem = random_problem(seed=seed, correlation=correlation, rank=rank, first_order=first_order)
    solution = solver.solve(problem, keep(problem, count))
    rival = Magnitude(update=True).solve(problem, keep(problem, count)).objective
    slack = 1e-4 * (abs(rival) + 1e-3)
    assert best_subset(problem, count) - slack <= solution.objective <= rival + slack


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 299), first_order=st.sampled_from([0.0, 1.0]))
def test_objective_never_rises(seed: int, count: int, first_order: float, random_problem: Make, keep: Keep) -> None:
    problem = random_problem(((10, 20), (5, 20)), 30, seed=seed, first_order=first_order)
    trace = Chita().solve(problem, keep(problem, count)).trace
    assert all(later <= earlier + 1e-5 * (abs(earlier) + 1) for earlier, later in pairwise(trace))


def test_is_the_best_subset_of_a_thousand_problems_nearly_always(
    random_problem: Make, keep: Keep, best_subset: Best
) -> None:
    kinds: list[dict[str, float]] = [
        {},
        {"correlation": 3.0},
        {"rank": 3},
        {"first_order": 1.0, "correlation": 1.0},
        {"rank": 2, "correlation": 3.0, "first_order": 1.0},
        {"ridge": 1e-4},
        {"rank": 4, "n": 20},
    ]
    shapes = [((2, 2), (2, 1)), ((2, 3), (1, 3)), ((3, 2), (2, 3)), ((3, 2), (2, 4))]
    misses = 0
    for seed in range(1000):
        chosen = shapes[seed % len(shapes)]
        problem = random_problem(chosen, seed=seed, **kinds[seed % len(kinds)])
        count = 1 + seed // 4 % (problem.dense.numel() - 1)
        best = best_subset(problem, count)
        misses += Chita().solve(problem, keep(problem, count)).objective > best + 1e-3 * abs(best) + 1e-6
    assert misses <= 10


def test_large_problems_end_below_the_magnitude_support(random_problem: Make, keep: Keep) -> None:
    for first_order in (0.0, 1.0):
        problem = random_problem(((30, 50), (40, 25)), 40, first_order=first_order, ridge=0.1)
        solution = Chita().solve(problem, keep(problem, 600))
        rival = Magnitude(update=True).solve(problem, keep(problem, 600))
        assert solution.objective < rival.objective
        assert solution.objective == pytest.approx(problem.objective(solution.weights), rel=1e-5)
        refitted = back_solve(problem.restrict(solution.mask.nonzero()[:, 0]))
        torch.testing.assert_close(solution.weights[solution.mask], refitted, rtol=1e-2, atol=1e-3)


def test_finds_a_support_that_magnitude_misses(random_problem: Make, keep: Keep) -> None:
    problem = random_problem(((10, 20), (5, 20)), 60)
    solution = Chita().solve(problem, keep(problem, 60))
    rival = Magnitude(update=True).solve(problem, keep(problem, 60))
    assert solution.objective < 0.9 * rival.objective
    assert not solution.mask.equal(rival.mask)
