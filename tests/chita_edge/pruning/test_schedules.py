from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chita_edge.pruning.errors import PruningError, UnknownNameError
from chita_edge.pruning.schedules import SCHEDULES, get_schedule, round_sparsities


@given(st.sampled_from(list(SCHEDULES)), st.floats(0, 0.999), st.integers(1, 30))
def test_rises_to_the_sparsity_itself(name: str, sparsity: float, rounds: int) -> None:
    found = round_sparsities(name, sparsity, rounds)
    assert len(found) == rounds
    assert found[-1] == sparsity
    assert get_schedule(name)(sparsity, rounds)[-1] == pytest.approx(sparsity)
    assert all(-1e-9 <= earlier <= later + 1e-9 for earlier, later in pairwise(found))


def test_shapes() -> None:
    assert round_sparsities("exponential", 0.75, 2) == pytest.approx((0.5, 0.75))
    assert round_sparsities("linear", 0.8, 4) == pytest.approx((0.2, 0.4, 0.6, 0.8))
    assert round_sparsities("polynomial", 0.8, 2) == pytest.approx((0.7, 0.8))
    assert round_sparsities("constant", 0.8, 3) == (0.8, 0.8, 0.8)


def test_refuses() -> None:
    with pytest.raises(UnknownNameError, match=r"no schedule 'steep'; there are: exponential"):
        round_sparsities("steep", 0.5, 2)
    with pytest.raises(PruningError, match="0 rounds"):
        round_sparsities("linear", 0.5, 0)
