from __future__ import annotations

from collections.abc import Callable

import torch

from chita_edge.pruning import Problem
from chita_edge.pruning.allocation.top import top_mask
from chita_edge.pruning.search.splice import splice
from chita_edge.pruning.search.splice_group import Group, splice_group

Make = Callable[..., Problem]
WIDTH = 60


def test_finds_what_splice_finds_block_by_block(random_problem: Make) -> None:
    sizes, counts = (60, 40, 60, 51), (20, 7, 59, 1)
    hessian = torch.eye(WIDTH).repeat(len(sizes), 1, 1)
    dense, slope = torch.zeros(2, len(sizes), WIDTH)
    real, start = torch.zeros(2, len(sizes), WIDTH, dtype=torch.bool)
    for number, (size, count) in enumerate(zip(sizes, counts, strict=True)):
        q = random_problem(((1, size),), 200, seed=number, correlation=5.0).restrict(torch.arange(size))
        hessian[number, :size, :size] = q.columns @ q.columns.T + q.damping * torch.eye(size)
        dense[number, :size], slope[number, :size], real[number, :size] = q.dense, q.columns @ q.offset, True
        start[number, :size] = top_mask(-q.dense.abs(), count)
    found = splice_group(Group(hessian, dense, slope, real), start, 10)
    moved = 0
    for number, (size, count) in enumerate(zip(sizes, counts, strict=True)):
        alone = splice(
            hessian[number, :size, :size],
            dense[number, :size],
            slope[number, :size],
            start[number, :size],
            lambda scores, count=count: top_mask(scores, count),
            10,
        )
        together = found[number]
        assert alone is not None and together is not None
        assert torch.equal(together.mask[:size], alone.mask) and not together.mask[size:].any()
        torch.testing.assert_close(together.weights, alone.weights, rtol=1e-2, atol=1e-3)
        torch.testing.assert_close(together.factor, alone.factor, rtol=1e-3, atol=1e-2)
        moved += int((alone.mask != start[number, :size]).sum())
    assert moved, "some weights are exchanged"


def test_not_definite_is_no_answer_for_that_block_alone() -> None:
    hessian = torch.stack([-torch.eye(2), torch.eye(2)])
    start = torch.tensor([[True, False], [True, False]])
    ones = torch.ones(2, 2)
    found = splice_group(Group(hessian, ones, 0 * ones, start | ~start), start, 3)
    assert found[0] is None
    assert found[1] is not None and found[1].weights.tolist() == [1.0]
