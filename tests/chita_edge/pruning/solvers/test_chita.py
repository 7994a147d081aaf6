from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from chita_edge.pruning import Constraint, Problem
from chita_edge.pruning.solvers import Chita, Magnitude

Make = Callable[..., Problem]
Keep = Callable[[Problem, int | tuple[int, ...]], Constraint]
Best = Callable[[Problem, int], float]


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(1, 13),
    correlation=st.sampled_from([0.0, 1.0, 3.0]),
    rank=st.sampled_from([None, 2]),
    first_order=st.sampled_from([0.0, 1.0]),
)
def test_between_brute_force_and_magnitude(
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
    solution = Chita().solve(problem, keep(problem, count))
    rival = Magnitude(update=True).solve(problem, keep(problem, count)).objective
    slack = 1e-4 * (abs(rival) + 1e-3)
    assert best_subset(problem, count) - slack <= solution.objective <= rival + slack


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 299), first_order=st.sampled_from([0.0, 1.0]))
def test_objective_never_rises(seed: int, count: int, first_order: float, random_problem: Make, keep: Keep) -> None:
    problem = random_problem(((10, 20), (5, 20)), 30, seed=seed, first_order=first_order)
    trace = Chita().solve(problem, keep(problem, count)).trace
    assert all(later <= earlier + 1e-5 * (abs(earlier) + 1) for earlier, later in pairwise(trace))


def test_is_the_best_subset_nearly_always(random_problem: Make, keep: Keep, best_subset: Best) -> None:
    kinds = [{}, {"correlation": 3.0}, {"rank": 3}, {"first_order": 1.0, "correlation": 1.0}]
    misses = 0
    for seed in range(60):
        problem = random_problem(seed=seed, **kinds[seed % len(kinds)])
        count = 2 + seed % 11
        best = best_subset(problem, count)
        misses += Chita().solve(problem, keep(problem, count)).objective > best + 1e-3 * abs(best) + 1e-5
    assert misses <= 1


def test_finds_a_support_that_magnitude_misses(random_problem: Make, keep: Keep) -> None:
    problem = random_problem(((10, 20), (5, 20)), 60)
    solution = Chita().solve(problem, keep(problem, 60))
    rival = Magnitude(update=True).solve(problem, keep(problem, 60))
    assert solution.objective < 0.9 * rival.objective
    assert not solution.mask.equal(rival.mask)
