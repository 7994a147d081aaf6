from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from chita_edge.pruning.allocation.top import top_mask

SCORES = st.lists(st.sampled_from([0.0, 0.5, 1.0, 1.0, 3.0, float("inf"), float("-inf")]), min_size=1, max_size=30)


@given(SCORES, st.integers(-1, 31))
def test_equals_a_stable_sort(values: list[float], count: int) -> None:
    scores = torch.tensor(values)
    expected = torch.zeros(len(values), dtype=torch.bool)
    expected[torch.argsort(scores, descending=True, stable=True)[: max(count, 0)]] = True
    assert torch.equal(top_mask(scores, count), expected)
