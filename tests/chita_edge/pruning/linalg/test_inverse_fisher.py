from __future__ import annotations

import pytest
import torch

from chita_edge.pruning.linalg.inverse_fisher import InverseFisher


@pytest.mark.parametrize(("m", "n"), [(1, 1), (10, 30), (30, 10), (20, 20)])
@pytest.mark.parametrize("damping", [0.1, 10.0])
def test_equals_the_explicit_inverse(m: int, n: int, damping: float) -> None:
    rng = torch.Generator().manual_seed(0)
    columns, vector = torch.randn(m, n, generator=rng), torch.randn(m, generator=rng)
    explicit = torch.linalg.inv(columns.double() @ columns.T.double() + damping * torch.eye(m, dtype=torch.float64))
    inverse = InverseFisher(columns, damping)
    torch.testing.assert_close(inverse.diagonal().double(), explicit.diagonal(), rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(inverse.matrix().double(), explicit, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(inverse.times(vector).double(), explicit @ vector.double(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("m", "n"), [(5, 3), (3, 5)])
def test_without_ridge_or_gradients_it_is_still_positive(m: int, n: int) -> None:
    assert bool((InverseFisher(torch.zeros(m, n), 0.0).diagonal() > 0).all())
    assert bool((InverseFisher(torch.ones(m, n), 0.0).diagonal() > 0).all())
