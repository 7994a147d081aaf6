from __future__ import annotations

from collections.abc import Callable

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chita_edge.pruning import Problem, back_solve
from chita_edge.pruning.allocation.top import top_mask
from chita_edge.pruning.search.splice import splice

Make = Callable[..., Problem]


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(1, 59),
    correlation=st.sampled_from([0.0, 5.0]),
    first_order=st.sampled_from([0.0, 1.0]),
)
def test_never_worse_than_the_start(
    seed: int, count: int, correlation: float, first_order: float, random_problem: Make
) -> None:
    problem = random_problem(((6, 10),), 20, seed=seed, correlation=correlation, first_order=first_order)
    q = problem.restrict(torch.arange(60))
    hessian = q.columns @ q.columns.T + q.damping * torch.eye(60)
    start = top_mask(q.dense.abs(), count)
    found = splice(hessian, q.dense, q.columns @ q.offset, start, lambda scores: top_mask(scores, count), 10)
    assert found is not None
    assert int(found.mask.sum()) == count

    def value(mask: torch.Tensor) -> float:
        part = q.restrict(mask.nonzero()[:, 0])
        return part.objective(back_solve(part))

    assert value(found.mask) <= value(start) + 1e-4 * (1 + abs(value(start)))
    inside = found.mask.nonzero()[:, 0]
    torch.testing.assert_close(found.factor @ found.factor.T, hessian[inside][:, inside], rtol=1e-4, atol=1e-3)


def test_gains_where_weights_replace_each_other(random_problem: Make) -> None:
    q = random_problem(((6, 10),), 60).restrict(torch.arange(60))
    hessian = q.columns @ q.columns.T + q.damping * torch.eye(60)
    start = top_mask(-q.dense.abs(), 20)
    found = splice(hessian, q.dense, torch.zeros(60), start, lambda scores: top_mask(scores, 20), 10)
    assert found is not None
    assert int((found.mask & ~start).sum()) > 10


def test_not_definite_is_no_answer() -> None:
    start = torch.tensor([True, False])
    assert splice(-torch.eye(2), torch.ones(2), torch.zeros(2), start, lambda scores: start, 3) is None
