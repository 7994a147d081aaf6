from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chita_edge.pruning import Problem
from chita_edge.pruning.allocation.top import top_mask
from chita_edge.pruning.search.iht import iht

Make = Callable[..., Problem]


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 59), correlation=st.sampled_from([0.0, 5.0]))
def test_never_goes_up_and_keeps_the_support(seed: int, count: int, correlation: float, random_problem: Make) -> None:
    q = random_problem(((6, 10),), 20, seed=seed, correlation=correlation).restrict(torch.arange(60))
    start = top_mask(q.dense.abs(), count)
    found = iht(q, q.dense * start, start, lambda scores: top_mask(scores, count), max_iterations=30, tolerance=0)
    assert all(later <= earlier for earlier, later in pairwise(found.trace))
    assert int(found.mask.sum()) == count
    assert not found.weights[~found.mask].any()
    assert abs(q.objective(found.weights) - found.trace[-1]) <= 1e-4 * (1 + found.trace[0])


def test_a_full_support_converges_to_the_unconstrained_minimum(random_problem: Make) -> None:
    q = random_problem(((3, 4),), 20, ridge=1.0, first_order=1.0).restrict(torch.arange(12))
    everything = torch.ones(12, dtype=torch.bool)
    found = iht(q, q.dense, everything, lambda scores: everything, max_iterations=500, tolerance=0)
    w = found.weights
    assert float(q.gradient_at(w, q.residual(w)).norm()) < 1e-3
