from __future__ import annotations

import pytest

from chita_edge.pruning.patterns import Cut


@pytest.mark.parametrize(
    ("cut", "weights"), [(Cut.ANYWHERE, 1), (Cut.rows(1), 20), (Cut.rows(4), 80), (Cut.NOWHERE, 200)]
)
def test_the_smallest_part_of_a_layer(cut: Cut, weights: int) -> None:
    assert cut.piece(200, 10) == weights


def test_no_rows_are_no_part() -> None:
    with pytest.raises(ValueError, match="not 0"):
        Cut.rows(0)
