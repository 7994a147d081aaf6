"""Preconditioned conjugate gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_ITERATIONS = 40


def conjugate_gradients(
    times: Callable[[torch.Tensor], torch.Tensor],
    right: torch.Tensor,
    factor: torch.Tensor,
    *,
    start: torch.Tensor | None = None,
    tolerance: float = 1e-5,
) -> torch.Tensor | None:
    """Solve M x = right for a symmetric positive definite M (Hestenes and Stiefel 1952).

    The error that counts is that in the norm of M, of which the objective's excess is the square; it is estimated by
    the preconditioned residual.

    Args:
        times: M's product with a vector (m,).
        right: float32 (m,).
        factor: lower Cholesky factor (m, m) of an approximation of M.
        start: a guess; zero when None.
        tolerance: the relative error that is allowed.

    Returns:
        x, or None where the tolerance is not reached.
    """
    direction = torch.cholesky_solve(right[:, None], factor)[:, 0]
    limit = tolerance**2 * float(right @ direction)
    if start is None:
        found, residual = torch.zeros_like(right), right
    else:
        found, residual = start, right - times(start)
        direction = torch.cholesky_solve(residual[:, None], factor)[:, 0]
    size = float(residual @ direction)
    for _ in range(_MOST_ITERATIONS):
        if not size > limit:
            return found if size == size and size >= 0 else None
        image = times(direction)
        bend = float(direction @ image)
        if not bend > 0:
            return None
        length = size / bend
        found = found + length * direction
        residual = residual - length * image
        solved = torch.cholesky_solve(residual[:, None], factor)[:, 0]
        previous, size = size, float(residual @ solved)
        direction = solved + size / previous * direction
    return None
