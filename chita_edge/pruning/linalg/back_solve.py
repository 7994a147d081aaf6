"""The best weights on a fixed support."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch

from chita_edge.pruning.linalg.conjugate_gradients import conjugate_gradients
from chita_edge.pruning.linalg.gram import dual_gram, gram

if TYPE_CHECKING:
    from chita_edge.pruning.quadratic import Quadratic

_REFINEMENTS = 2
# Relative errors of the step, whose square is the objective's relative excess. The objective itself is float32 in its
# data, and one of many blocks: less than 1e-6 is enough.
_TOLERANCE = 1e-5
_TOLERANCE_FROM_GUESS = 5e-4
_FLOAT32_NOISE = 1e-7
# Systems smaller than this are cheap to solve in float64.
_SMALL = 64


def back_solve(
    quadratic: Quadratic, factor: torch.Tensor | None = None, *, guess: torch.Tensor | None = None
) -> torch.Tensor:
    """Minimise q over all its weights: ridge regression in residual form.

    With b the residual when these weights keep their dense values, w = w̄ + d where

        d = −Aᵀz,  (AAᵀ + ρI) z = b      (n × n, when there are more weights than samples; Woodbury), or
        (AᵀA + ρI) d = −Aᵀb              (m × m, otherwise).

    Solving for d, not for w, keeps float32 accurate: the textbook form w = (AᵀA + ρI)⁻¹(Aᵀy + ρw̄) subtracts numbers
    that are larger than the result by orders of magnitude. The system's matrix, which may have been multiplied in
    bfloat16, only preconditions conjugate gradients on the float32 columns. Small systems, and those that are too
    ill-conditioned for that, are factorised in float64.

    Args:
        quadratic: q.
        factor: lower Cholesky factor, float32 (m, m), of an approximation of AᵀA + ρI, where one is at hand already.
        guess: with a factor, about where the minimum is.

    Returns:
        float32 (m,).

    """
    columns, damping, offset = quadratic.columns, quadratic.damping, quadratic.offset
    m, n = columns.shape
    if not m:
        return torch.zeros_like(quadratic.dense)
    if min(m, n) <= _SMALL and factor is None:
        return quadratic.dense + _in_float64(quadratic)
    dual = factor is None and m > n
    if factor is None:
        matrix = dual_gram(columns) if dual else gram(columns)
        matrix.diagonal().add_(damping)
        factor, failed = torch.linalg.cholesky_ex(matrix)
        if int(failed):
            return quadratic.dense + _in_float64(quadratic)
    if dual:
        solved = conjugate_gradients(
            lambda z: torch.mv(columns.T, torch.mv(columns, z)).add_(z, alpha=damping), offset, factor
        )
        step = None if solved is None else -torch.mv(columns, solved)
    else:
        step = conjugate_gradients(
            lambda d: torch.mv(columns, torch.mv(columns.T, d)).add_(d, alpha=damping),
            -torch.mv(columns, offset),
            factor,
            start=None if guess is None else guess - quadratic.dense,
            tolerance=_TOLERANCE if guess is None else _TOLERANCE_FROM_GUESS,
        )
    return quadratic.dense + (_in_float64(quadratic) if step is None else step)


def _in_float64(quadratic: Quadratic) -> torch.Tensor:
    """The step d from a float64 factorisation of the float32 system, refined against the columns."""
    columns, damping, offset = quadratic.columns, quadratic.damping, quadratic.offset
    m, n = columns.shape
    step = torch.zeros_like(quadratic.dense)
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
    return step


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
