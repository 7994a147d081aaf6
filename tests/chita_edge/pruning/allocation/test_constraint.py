from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from chita_edge.pruning import Constraint, InfeasibleBudgetError, NonFiniteProblemError
from chita_edge.pruning.patterns import Unstructured

SHAPES = (torch.Size((2, 3)), torch.Size((2, 2, 1, 1)))


@given(st.lists(st.integers(0, 4), min_size=10, max_size=10), st.integers(0, 10))
def test_global_budget_is_exact_and_best(values: list[int], keep: int) -> None:
    scores = torch.tensor(values, dtype=torch.float32)
    mask = Constraint(Unstructured(), SHAPES, keep).project(scores)
    assert int(mask.sum()) == keep
    assert float(scores[mask].sum()) == sum(sorted(values, reverse=True)[:keep])


@given(st.lists(st.integers(0, 4), min_size=10, max_size=10), st.integers(0, 6), st.integers(0, 4))
def test_layer_budgets_are_exact_and_best(values: list[int], first: int, second: int) -> None:
    scores = torch.tensor(values, dtype=torch.float32)
    constraint = Constraint(Unstructured(), SHAPES, (first, second))
    mask = constraint.project(scores)
    assert constraint.counts(mask) == (first, second)
    assert constraint.total == first + second
    best = sum(sorted(values[:6], reverse=True)[:first]) + sum(sorted(values[6:], reverse=True)[:second])
    assert float(scores[mask].sum()) == best


@pytest.mark.parametrize("keep", [-1, 11, (7, 0), (0, 5), (1,), (1, 1, 1)])
def test_refuses_budgets_that_cannot_be_met(keep: int | tuple[int, ...]) -> None:
    with pytest.raises(InfeasibleBudgetError, match=r"weights cannot be kept|budgets do not fit"):
        Constraint(Unstructured(), SHAPES, keep)


def test_refuses_scores_that_are_not_numbers() -> None:
    scores = torch.ones(10)
    scores[4] = torch.nan
    with pytest.raises(NonFiniteProblemError, match="NaN"):
        Constraint(Unstructured(), SHAPES, 3).project(scores)
