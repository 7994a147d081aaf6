from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from chita_edge.pruning import Problem, back_solve
from chita_edge.pruning.patterns.cut import Cut
from chita_edge.pruning.search.blocks import block_bounds, saliencies


@given(st.integers(1, 2000), st.integers(1, 600))
def test_blocks_cover_a_layer_evenly(size: int, block: int) -> None:
    bounds = block_bounds(torch.Size((1, size)), block)
    lengths = [last - first for first, last in bounds]
    assert bounds[0][0] == 0
    assert bounds[-1][1] == size
    assert all(left[1] == right[0] for left, right in pairwise(bounds))
    assert max(lengths) <= block
    assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize(
    ("shape", "cut", "expected"),
    [
        ((10, 20), Cut.rows(1), [(0, 40), (40, 100), (100, 140), (140, 200)]),
        ((10, 20), Cut.rows(4), [(0, 80), (80, 160), (160, 200)]),
        ((10, 20), Cut.NOWHERE, [(0, 200)]),
        ((3, 8, 3, 3), Cut.rows(1), [(0, 72), (72, 144), (144, 216)]),
    ],
)
def test_blocks_are_cut_where_the_pattern_allows(
    shape: tuple[int, ...], cut: Cut, expected: list[tuple[int, int]]
) -> None:
    assert block_bounds(torch.Size(shape), 60, cut) == expected


def test_saliency_is_what_one_removal_costs(random_problem: Callable[..., Problem]) -> None:
    problem = random_problem(((3, 4),), 20)
    found = saliencies(problem, block=12)
    for j in range(12):
        others = torch.tensor([i for i in range(12) if i != j])
        weights = torch.zeros(12)
        weights[others] = back_solve(problem.restrict(others))
        assert float(found[j]) == pytest.approx(problem.objective(weights), rel=1e-3)
