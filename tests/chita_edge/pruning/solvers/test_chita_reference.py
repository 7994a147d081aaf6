"""The page of the paper, between brute force and magnitude; and the fast solvers, held against it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chita_edge.pruning import Constraint, Problem, Solver, get_pattern
from chita_edge.pruning.solvers.chita import Chita
from chita_edge.pruning.solvers.chita_bso import ChitaBso
from chita_edge.pruning.solvers.chita_reference import ChitaReference
from chita_edge.pruning.solvers.registry import SOLVERS

Make = Callable[..., Problem]
Keep = Callable[[Problem, int | tuple[int, ...]], Constraint]
Best = Callable[[Problem, int], float]


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 13), first_order=st.sampled_from([0.0, 1.0]))
def test_objective_never_rises(seed: int, count: int, first_order: float, random_problem: Make, keep: Keep) -> None:
    """Between brute force and magnitude it is held beside the fast solver, in test_chita.py."""
    problem = random_problem(seed=seed, first_order=first_order)
    trace = ChitaReference().solve(problem, keep(problem, count)).trace
    assert all(later <= earlier for earlier, later in pairwise(trace))


@pytest.mark.parametrize("pattern", ["unstructured", "1x4", "2:4"])
@pytest.mark.parametrize("fast", [Chita(), ChitaBso(block=1000)], ids=lambda solver: solver.name)
def test_the_fast_solvers_are_as_good(fast: Solver, pattern: str, random_problem: Make) -> None:
    """Two local searches end in different places; over 36 problems the fast ones' are no worse."""
    found = []
    for options in ({}, {"correlation": 3.0, "ridge": 0.1}, {"correlation": 1.0, "first_order": 1.0, "ridge": 1.0}):
        for seed in range(12):
            problem = random_problem(((20, 12),), 30, seed=seed, **options)
            constraint = Constraint(get_pattern(pattern), problem.shapes, 72)
            exact = ChitaReference().solve(problem, constraint).objective
            solution = fast.solve(problem, constraint)
            assert problem.objective(solution.weights) == pytest.approx(solution.objective, rel=1e-3)
            assert int(solution.mask.sum()) <= 72
            found.append(solution.objective / exact)
    assert sum(found) / len(found) <= 1.02


@pytest.mark.parametrize("name", ["chita", "chita_bso"])
def test_values_on_a_support_are_the_exact_ones(name: str, random_problem: Make, keep: Keep) -> None:
    problem = random_problem(((20, 12),), 30, correlation=1.0, first_order=1.0, ridge=0.3)
    solution = SOLVERS[name]().solve(problem, keep(problem, 60))
    rows, dense = problem.together().double(), problem.dense.double()
    hessian = rows @ rows.T + problem.damping * torch.eye(len(dense), dtype=torch.float64)
    chosen = solution.mask
    right = (hessian @ dense - problem.first_order * rows.sum(1))[chosen]
    exact = torch.linalg.solve(hessian[chosen][:, chosen], right)
    torch.testing.assert_close(solution.weights[chosen].double(), exact, rtol=1e-2, atol=1e-2)
