from __future__ import annotations

import pytest
import torch

from chita_edge.pruning import ALLOCATIONS, InfeasibleBudgetError, UnknownNameError, get_allocation

SHAPES = (torch.Size((10, 10)), torch.Size((5, 4)))


def test_budgets() -> None:
    assert get_allocation("global")(SHAPES, 0.8) == 24
    assert get_allocation("uniform")(SHAPES, 0.8) == (20, 4)
    assert get_allocation("global")(SHAPES, 0.0) == 120


@pytest.mark.parametrize("name", list(ALLOCATIONS))
@pytest.mark.parametrize("sparsity", [-0.1, 1.0, 1.5, float("nan"), float("inf")])
def test_refuses_sparsities_outside_the_range(name: str, sparsity: float) -> None:
    with pytest.raises(InfeasibleBudgetError, match=r"outside \[0, 1\)"):
        get_allocation(name)(SHAPES, sparsity)


@pytest.mark.parametrize("name", list(ALLOCATIONS))
def test_refuses_to_keep_nothing(name: str) -> None:
    with pytest.raises(InfeasibleBudgetError, match="leaves none of"):
        get_allocation(name)(SHAPES, 0.9999)


def test_unknown_allocation() -> None:
    with pytest.raises(UnknownNameError, match=r"no allocation 'fair'; there are: global, uniform"):
        get_allocation("fair")
