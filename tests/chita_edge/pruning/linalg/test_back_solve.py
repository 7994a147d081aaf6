from __future__ import annotations

import pytest
import torch

from chita_edge.pruning import Quadratic, back_solve


def explicit(q: Quadratic) -> torch.Tensor:
    """Ridge regression by the explicit inverse, in float64."""
    A, w, b = q.columns.T.double(), q.dense.double(), q.offset.double()
    hessian = A.T @ A + q.damping * torch.eye(A.shape[1], dtype=torch.float64)
    return w - torch.linalg.inv(hessian) @ (A.T @ b)


def quadratic(m: int, n: int, damping: float, scale: float = 1.0, seed: int = 0) -> Quadratic:
    rng = torch.Generator().manual_seed(seed)
    return Quadratic(
        scale * torch.randn(m, n, generator=rng), torch.randn(m, generator=rng), torch.randn(n, generator=rng), damping
    )


@pytest.mark.parametrize(("m", "n"), [(1, 1), (1, 8), (8, 1), (30, 10), (10, 30), (40, 40), (400, 60)])
@pytest.mark.parametrize("damping", [1e-2, 1.0, 100.0])
def test_equals_the_explicit_inverse(m: int, n: int, damping: float) -> None:
    q = quadratic(m, n, damping)
    torch.testing.assert_close(back_solve(q).double(), explicit(q), rtol=1e-4, atol=1e-5)


def test_is_accurate_where_the_textbook_form_cancels() -> None:
    q = quadratic(600, 50, damping=1e-2, scale=30.0)
    A, y = q.columns.T, q.columns.T @ q.dense - q.offset
    inverse = torch.linalg.inv(A @ A.T + q.damping * torch.eye(50))
    right = A.T @ y + q.damping * q.dense
    textbook = (right - A.T @ (inverse @ (A @ right))) / q.damping
    best = explicit(q)
    assert float((back_solve(q) - best).norm()) < 1e-5 * float(best.norm())
    assert float((textbook - best).norm()) > 1e-3 * float(best.norm())


def test_no_ridge_and_too_few_samples_still_has_a_solution() -> None:
    q = quadratic(12, 5, damping=0.0)
    assert q.objective(back_solve(q)) < 1e-6 * q.objective(q.dense)
    repeated = Quadratic(q.columns[:1].repeat(4, 1), q.dense[:4], q.offset, 0.0)
    w = back_solve(repeated)
    assert repeated.objective(w) <= repeated.objective(repeated.dense)


def test_no_weights() -> None:
    assert back_solve(quadratic(3, 4, 1.0).restrict(torch.tensor([], dtype=torch.int64))).shape == (0,)
