"""Exchange of many weights at once between a support and its complement, on an explicit Hessian."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    Project = Callable[[torch.Tensor], torch.Tensor]

LEAST_SHARE = 0.1
# LAPACK takes systems of up to 128 rows one row after another, at a quarter of the speed of larger ones: those of
# nearly as many rows are filled up.
_SLOW = 96
_FAST = 129


@dataclass(frozen=True)
class Spliced:
    """A support, the minimum on it (k,), and the Cholesky factor of the Hessian on it, float32 (k, k)."""

    mask: torch.Tensor
    weights: torch.Tensor
    factor: torch.Tensor


def splice(
    hessian: torch.Tensor, dense: torch.Tensor, slope: torch.Tensor, mask: torch.Tensor, project: Project, rounds: int
) -> Spliced | None:
    """Lower ½dᵀHd + cᵀd, d = w − w̄, over supports; the present one is kept where none better is found.

    Iterative hard thresholding in coordinates scaled to a unit diagonal of H, restarted in each round from the minimum
    on the present support: with w that minimum and g the gradient there, weight i of the support is worth ½H_ii w_i²
    and another one τ²·½g_j²/H_jj, and the projection keeps what is worth most. Where that does not lower the
    objective, τ is halved.

    Args:
        hessian: H, float32 (m, m), positive definite, possibly approximate.
        dense: w̄, (m,).
        slope: c, (m,), the gradient at w̄.
        mask: bool (m,), a mask of the set.
        project: from scores (m,) to the mask of the set with the largest total score.
        rounds: most supports tried.

    Returns:
        The best support tried, or None where H is not definite on one.
    """
    half = 0.5 * hessian.diagonal()
    gains = 0.25 / half
    pulled = torch.mv(hessian, dense) - slope
    point = minimum(hessian, pulled, mask)
    if point is None:
        return None
    share = 1.0
    worth = gain = half
    fresh = True
    for _ in range(rounds):
        if fresh:
            weights = torch.zeros_like(pulled)
            weights[point.inside] = point.weights
            gain = (pulled - torch.mv(hessian, weights)).square_().mul_(gains).masked_fill_(point.mask, 0.0)
            worth = weights.square_().mul_(half)
        support = project(torch.add(worth, gain, alpha=share**2))
        if torch.equal(support, point.mask):
            break
        found = minimum(hessian, pulled, support)
        fresh = found is not None and found.value < point.value
        if fresh:
            assert found is not None  # noqa: S101 (that is what fresh says)
            point = found
        else:
            share *= 0.5
            if share < LEAST_SHARE:
                break
    return point.spliced()


@dataclass(frozen=True)
class Point:
    """The minimum on a support.

    Attributes:
        mask: the support, (m,).
        inside: its indices, (k,).
        weights: there, (k,).
        factor: lower Cholesky factor of the Hessian on it, (k, k).
        value: the minimum up to a constant.
    """

    mask: torch.Tensor
    inside: torch.Tensor
    weights: torch.Tensor
    factor: torch.Tensor
    value: float

    def spliced(self) -> Spliced:
        """Result of `splice`."""
        return Spliced(self.mask, self.weights, self.factor)


def minimum(hessian: torch.Tensor, pulled: torch.Tensor, mask: torch.Tensor) -> Point | None:
    """The minimum of ½wᵀHw − bᵀw on a support; None where H is not definite there.

    Args:
        hessian: H, (m, m).
        pulled: b, (m,).
        mask: bool (m,).
    """
    inside = mask.nonzero()[:, 0]
    count = len(inside)
    system = hessian.index_select(0, inside).index_select(1, inside)
    if _SLOW <= count < _FAST:
        filled = torch.eye(_FAST)
        filled[:count, :count] = system
        system = filled
    factor, failed = torch.linalg.cholesky_ex(system)
    if int(failed):
        return None
    factor, right = factor[:count, :count], pulled.index_select(0, inside)
    solved = torch.cholesky_solve(right[:, None], factor)[:, 0]
    return Point(mask, inside, solved, factor, -0.5 * float(right.dot(solved)))
