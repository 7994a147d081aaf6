"""The best weights on a fixed support."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch

if TYPE_CHECKING:
    from chita_edge.pruning.quadratic import Quadratic

_REFINEMENTS = 2
_FLOAT32_NOISE = 1e-7


def back_solve(quadratic: Quadratic) -> torch.Tensor:
    """Minimise q over all its weights: ridge regression in residual form.

    With b the residual when these weights keep their dense values, w = w̄ + d where

        d = −Aᵀz,  z = (AAᵀ + ρI)⁻¹ b      (n × n, when there are more weights than samples; Woodbury), or
        d = −(AᵀA + ρI)⁻¹ Aᵀb              (m × m, otherwise).

    Solving for d, not for w, keeps float32 accurate: the textbook form w = (AᵀA + ρI)⁻¹(Aᵀy + ρw̄) subtracts numbers
    that are larger than the result by orders of magnitude. The small system is factorised in float64 and the solution
    refined against the float32 columns.

    Returns:
        float32 (m,).

    """
    columns, damping, offset = quadratic.columns, quadratic.damping, quadratic.offset
    m, n = columns.shape
    step = torch.zeros_like(quadratic.dense)
    if not m:
        return step
    if m > n:
        factor = damped_cholesky(columns.T @ columns, damping)
        dual = torch.zeros_like(offset)
        for _ in range(1 + _REFINEMENTS):
            missing = offset + torch.mv(columns.T, step) - damping * dual
            dual += torch.cholesky_solve(missing.double()[:, None], factor)[:, 0].float()
            step = -torch.mv(columns, dual)
    else:
        factor = damped_cholesky(columns @ columns.T, damping)
        for _ in range(1 + _REFINEMENTS):
            gradient = torch.mv(columns, offset + torch.mv(columns.T, step)).add_(step, alpha=damping)
            step -= torch.cholesky_solve(gradient.double()[:, None], factor)[:, 0].float()
    return quadratic.dense + step


def damped_cholesky(gram: torch.Tensor, damping: float) -> torch.Tensor:
    """Lower Cholesky factor, float64, of a float32 Gram matrix plus ``damping`` times the identity.

    Where the damping is smaller than the rounding noise of the float32 matrix, just enough is added to make the matrix
    definite.
    """
    matrix = gram.double()
    noise = _FLOAT32_NOISE * float(matrix.diagonal().sum())
    added = damping
    while True:
        factor, failed = torch.linalg.cholesky_ex(matrix + added * torch.eye(len(matrix), dtype=torch.float64))
        if not int(failed):
            return cast("torch.Tensor", factor)
        added = max(10 * added, noise, torch.finfo(torch.float64).tiny)
