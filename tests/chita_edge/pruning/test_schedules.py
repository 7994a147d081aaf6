from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chita_edge.pruning.errors import PruningError, UnknownNameError
from chita_edge.pruning.schedules import SCHEDULES, get_schedule, stage_sparsities


@given(st.sampled_from(list(SCHEDULES)), st.floats(0, 0.999), st.integers(1, 30))
def test_rises_to_the_sparsity_itself(name: str, sparsity: float, stages: int) -> None:
    found = stage_sparsities(name, sparsity, stages)
    assert len(found) == stages
    assert found[-1] == sparsity
    assert get_schedule(name)(sparsity, stages)[-1] == pytest.approx(sparsity)
    assert all(-1e-9 <= earlier <= later + 1e-9 for earlier, later in pairwise(found))


def test_shapes() -> None:
    assert stage_sparsities("exponential", 0.75, 2) == pytest.approx((0.5, 0.75))
    assert stage_sparsities("linear", 0.8, 4) == pytest.approx((0.2, 0.4, 0.6, 0.8))
    assert stage_sparsities("polynomial", 0.8, 2) == pytest.approx((0.7, 0.8))
    assert stage_sparsities("constant", 0.8, 3) == (0.8, 0.8, 0.8)


def test_refuses() -> None:
    with pytest.raises(UnknownNameError, match=r"no schedule 'steep'; there are: exponential"):
        stage_sparsities("steep", 0.5, 2)
    with pytest.raises(PruningError, match="0 stages"):
        stage_sparsities("linear", 0.5, 0)
