from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from chita_edge.pruning import Problem, back_solve
from chita_edge.pruning.search import dual
from chita_edge.pruning.search.dual import minimum_on

Make = Callable[..., Problem]


@pytest.mark.parametrize("most_bytes", [0, 1 << 30])
@pytest.mark.parametrize("first_order", [0.0, 1.0])
def test_is_the_back_solve_and_knows_where_the_others_would_go(
    first_order: float, most_bytes: int, random_problem: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dual, "_MOST_BYTES", most_bytes)
    problem = random_problem(((10, 20), (5, 20)), 30, first_order=first_order, ridge=0.3)
    rng = torch.Generator().manual_seed(1)
    mask = torch.rand(300, generator=rng) < 0.5
    near = minimum_on(problem, mask)
    mask[:30] = ~mask[:30]
    for point in (minimum_on(problem, mask), minimum_on(problem, mask, near)):
        weights = point.moved * mask
        torch.testing.assert_close(
            weights[mask], back_solve(problem.restrict(mask.nonzero()[:, 0])), rtol=1e-3, atol=1e-4
        )
        assert point.value == pytest.approx(problem.objective(weights), rel=1e-6)
        gradient = problem.gradient(weights)
        torch.testing.assert_close(point.moved[~mask], -gradient[~mask] / problem.damping, rtol=1e-2, atol=1e-2)


def test_no_ridge_and_no_weights(random_problem: Make) -> None:
    problem = random_problem(((10, 20),), 30, ridge=0.0)
    everything = torch.ones(200, dtype=torch.bool)
    everything[:100] = False
    assert minimum_on(problem, everything).value < 1e-3 * problem.objective(problem.dense * everything)
    nothing = minimum_on(random_problem(((10, 20),), 30), torch.zeros(200, dtype=torch.bool))
    assert nothing.value == pytest.approx(random_problem(((10, 20),), 30).objective(torch.zeros(200)), rel=1e-5)
