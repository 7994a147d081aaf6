from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from chita_edge.pruning import Constraint
from chita_edge.pruning.patterns import NOfM


@given(
    st.integers(1, 15),
    st.integers(2, 16),
    st.integers(1, 4),
    st.integers(1, 20),
    st.integers(1, 2),
    st.floats(0, 1),
    st.booleans(),
)
def test_keeps_the_best_of_each_cell(
    n: int, m: int, outputs: int, channels: int, kernel: int, share: float, ties: bool
) -> None:
    n = min(n, m - 1)
    shape = torch.Size((outputs, channels, kernel, 1))
    scores = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    if ties:
        scores = torch.ones(shape)
    allowed = torch.zeros(shape)
    for o in range(outputs):
        for h in range(kernel):
            for first in range(0, channels, m):
                cell = scores[o, first : first + m, h, 0]
                best = torch.argsort(cell, descending=True, stable=True)[:n]
                allowed[o, first + best, h, 0] = 1
    full = Constraint(NOfM(n, m), (shape,), shape.numel()).project(scores.flatten())
    assert torch.equal(full.view(shape), allowed.bool())
    keep = round(share * shape.numel())
    thin = Constraint(NOfM(n, m), (shape,), keep).project(scores.flatten())
    assert int(thin.sum()) == min(keep, int(allowed.sum()))
    assert bool((full | ~thin).all())


def test_small_matrix() -> None:
    scores = torch.tensor([[9.0, 1, 4, 2], [3, 8, 1, 5]])
    mask = Constraint(NOfM(2, 4), (scores.shape,), 8).project(scores.flatten())
    assert mask.view(2, 4).int().tolist() == [[1, 0, 1, 0], [0, 1, 0, 1]]
