import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from chita_edge.pruning import InfeasibleBudgetError
from chita_edge.pruning.allocation.erdos_renyi import balanced_budget, erk_budget

SHAPES = st.lists(
    st.tuples(st.integers(1, 60), st.integers(1, 60), st.sampled_from([1, 3]), st.sampled_from([1, 3])).map(torch.Size),
    min_size=1,
    max_size=8,
).map(tuple)


@given(SHAPES, st.floats(0, 0.99))
def test_the_total_is_exact_and_no_layer_keeps_more_than_it_has(
    shapes: tuple[torch.Size, ...], sparsity: float
) -> None:
    sizes = [shape.numel() for shape in shapes]
    if round(sum(sizes) * (1 - sparsity)) == 0:
        with pytest.raises(InfeasibleBudgetError):
            erk_budget(shapes, sparsity)
        return
    for budget in (erk_budget, balanced_budget):
        kept = budget(shapes, sparsity)
        assert sum(kept) == round(sum(sizes) * (1 - sparsity))
        assert all(0 <= k <= size for k, size in zip(kept, sizes, strict=True))


def test_density_follows_the_rule() -> None:
    # (16 + 16 + 2) / 256 against (64 + 64 + 2) / 4096: 4.18 times as dense, and the cube root of that.
    shapes = (torch.Size((16, 16, 1, 1)), torch.Size((64, 64, 1, 1)))
    for budget, ratio in ((erk_budget, 4.18), (balanced_budget, 4.18 ** (1 / 3))):
        small, large = budget(shapes, 0.9)
        assert small / 256 / (large / 4096) == pytest.approx(ratio, rel=0.03)


def test_a_layer_that_would_exceed_one_stays_dense() -> None:
    shapes = (torch.Size((4, 4)), torch.Size((100, 100)))
    small, large = erk_budget(shapes, 0.5)
    assert small == 16
    assert small + large == 5008


def test_equal_layers_get_equal_shares() -> None:
    assert erk_budget((torch.Size((8, 8)),) * 3, 0.75) == (16, 16, 16)
