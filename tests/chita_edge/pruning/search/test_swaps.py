from __future__ import annotations

from collections.abc import Callable

import torch

from chita_edge.pruning import Problem, back_solve
from chita_edge.pruning.allocation.top import top_mask
from chita_edge.pruning.search.swaps import local_search

Make = Callable[..., Problem]


def test_ends_where_no_swap_gains(random_problem: Make) -> None:
    problem = random_problem(((3, 6),), 12, correlation=1.0)
    q = problem.restrict(torch.arange(18))

    def value(mask: torch.Tensor) -> float:
        part = q.restrict(mask.nonzero()[:, 0])
        return part.objective(back_solve(part))

    start = top_mask(q.dense.abs(), 6)
    found = local_search(q, [start])
    assert int(found.sum()) == 6
    assert value(found) < value(start)
    for i in found.nonzero()[:, 0]:
        for j in (~found).nonzero()[:, 0]:
            other = found.clone()
            other[i], other[j] = False, True
            assert value(other) >= value(found) * (1 - 1e-5)


def test_swaps_stay_within_their_group(random_problem: Make) -> None:
    q = random_problem(((3, 6),), 12).restrict(torch.arange(18))
    groups = torch.arange(18) % 3
    start = torch.zeros(18, dtype=torch.bool)
    start[[0, 3, 6, 9, 1, 2]] = True
    found = local_search(q, [start], groups)
    assert torch.bincount(groups[found]).tolist() == [4, 1, 1]


def test_everything_and_nothing(random_problem: Make) -> None:
    q = random_problem(((1, 4),), 12).restrict(torch.arange(4))
    for mask in (torch.ones(4, dtype=torch.bool), torch.zeros(4, dtype=torch.bool)):
        assert torch.equal(local_search(q, [mask]), mask)
