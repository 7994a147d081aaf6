from __future__ import annotations

from itertools import pairwise

import pytest

from chita_edge.engine.config import PruneConfig
from chita_edge.engine.methods import METHODS, round_count
from chita_edge.pruning.schedules import round_sparsities


@pytest.mark.parametrize(
    ("sparsity", "count"), [(0.0, 1), (0.3, 1), (0.5, 1), (0.51, 2), (0.75, 2), (0.8, 3), (0.9, 4), (0.99, 4)]
)
def test_a_stage_more_where_less_than_half_would_be_kept(sparsity: float, count: int) -> None:
    assert round_count(PruneConfig(method="chita_pp", sparsity=sparsity)) == count


@pytest.mark.parametrize("sparsity", [0.5, 0.7, 0.8, 0.9, 0.93])
def test_each_stage_keeps_half_of_what_was_left(sparsity: float) -> None:
    count = round_count(PruneConfig(method="chita_pp", sparsity=sparsity))
    kept = [1.0, *(1 - reached for reached in round_sparsities("exponential", sparsity, count))]
    assert all(after >= 0.5 * before - 1e-9 for before, after in pairwise(kept))


def test_the_user_decides() -> None:
    assert round_count(PruneConfig(method="chita_pp", sparsity=0.5, rounds=7)) == 7


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if method.rounds == 1])
def test_other_methods_have_one(method: str) -> None:
    assert round_count(PruneConfig(method=method, sparsity=0.95)) == 1
