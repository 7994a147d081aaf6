from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from chita_edge.pruning import Constraint, Problem, PruningError
from chita_edge.pruning.solvers.mfac import MFac
from chita_edge.pruning.solvers.woodfisher_full import WoodFisherFull

Make = Callable[..., Problem]
Keep = Callable[[Problem, int | tuple[int, ...]], Constraint]


def test_the_recursion_gives_the_inverse_that_woodbury_does(random_problem: Make, keep: Keep) -> None:
    problem = random_problem(((6, 10), (4, 5)), 30, ridge=0.5)
    full, whole = (solver.solve(problem, keep(problem, 30)) for solver in (WoodFisherFull(), MFac()))
    assert torch.equal(full.mask, whole.mask)
    torch.testing.assert_close(full.weights, whole.weights, rtol=1e-3, atol=1e-4)


def test_refuses_what_does_not_fit(random_problem: Make, keep: Keep) -> None:
    problem = random_problem()
    with pytest.raises(PruningError, match="Use 'mfac'"):
        WoodFisherFull(most_weights=13).solve(problem, keep(problem, 5))
