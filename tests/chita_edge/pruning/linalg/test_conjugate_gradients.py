from __future__ import annotations

import torch

from chita_edge.pruning.linalg.conjugate_gradients import conjugate_gradients


def system(m: int = 80) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    root = torch.randn(m, m, generator=rng)
    return root @ root.T + torch.eye(m), torch.randn(m, generator=rng)


def test_solves_with_a_factor_of_a_neighbouring_matrix() -> None:
    matrix, right = system()
    factor = torch.linalg.cholesky(matrix + torch.diag(torch.linspace(0, 5, 80)))
    found = conjugate_gradients(lambda x: matrix @ x, right, factor)
    assert found is not None
    exact = torch.linalg.solve(matrix.double(), right.double())
    error = found.double() - exact
    assert float(error @ matrix.double() @ error) < 1e-8 * float(exact @ matrix.double() @ exact)


def test_zero_needs_no_iteration_and_what_is_not_definite_no_answer() -> None:
    matrix, right = system(10)
    factor = torch.linalg.cholesky(matrix)
    assert torch.equal(torch.zeros(10), conjugate_gradients(lambda x: matrix @ x, 0 * right, factor) + 0)  # type: ignore[operator]
    assert conjugate_gradients(lambda x: -(matrix @ x), right, factor) is None
    assert conjugate_gradients(lambda x: x * torch.nan, right, factor) is None
