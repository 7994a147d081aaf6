"""The best weights on a support of many more weights than samples, through the n × n system of the samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from chita_edge.pruning.columns import times, transposed_times
from chita_edge.pruning.linalg.back_solve import damped_cholesky
from chita_edge.pruning.linalg.conjugate_gradients import conjugate_gradients
from chita_edge.pruning.linalg.gram import dual_gram

if TYPE_CHECKING:
    from chita_edge.pruning.problem import Problem

# Rows of Aᵀ on a support are gathered together up to this size; beyond it they are picked out in each pass.
_MOST_BYTES = 1 << 30
_LEAST_DAMPING = 1e-7
_FEW = 1024
_AT_ONCE = 1 << 15


@dataclass(frozen=True)
class DualPoint:
    """The minimum of Q on a support S.

    With b = φ·1 − A_{S'} w̄_{S'} the residual when S keeps its dense values and all else, S', is zero, the minimum is
    w_S = w̄_S − A_Sᵀz with (A_S A_Sᵀ + ρI) z = b, and its residual is ρz.

    Attributes:
        mask: bool (p,), S.
        dual: z, (n,).
        moved: u = w̄ − Aᵀz, (p,): w on S, and elsewhere −1/ρ times the gradient, which is where a gradient step of 1/ρ
            would take those weights.
        factor: Cholesky factor (n, n) of the system, or of that of a support nearby.
        value: Q there.
    """

    mask: torch.Tensor
    dual: torch.Tensor
    moved: torch.Tensor
    factor: torch.Tensor
    value: float


def minimum_on(problem: Problem, mask: torch.Tensor, near: DualPoint | None = None) -> DualPoint:
    """Minimise Q on a support.

    Args:
        problem: with p ≫ n.
        mask: bool (p,), the support.
        near: the minimum on a similar support, whose factor then preconditions.
    """
    rows = _Rows(problem, mask)
    damping = max(problem.damping, _LEAST_DAMPING * rows.scale)
    offset = problem.residual(problem.dense * mask)

    def product(vector: torch.Tensor) -> torch.Tensor:
        return rows.square_times(vector).add_(vector, alpha=damping)

    dual = None
    if near is not None:
        factor = near.factor
        dual = conjugate_gradients(product, offset, factor, start=near.dual, tolerance=1e-4)
    if dual is None:
        square = rows.square()
        factor, failed = torch.linalg.cholesky_ex(square + damping * torch.eye(len(square)))
        if not int(failed):
            dual = conjugate_gradients(product, offset, factor)
        if dual is None:  # the damping is below float32's rounding: as good as float64's factorisation makes it
            exact = damped_cholesky(rows.square(fast=False), damping)
            dual = torch.cholesky_solve(offset.double()[:, None], exact)[:, 0].float()
            factor = exact.float()
    moved = problem.dense - problem.transposed_times(dual)
    weights = moved * mask
    return DualPoint(mask, dual, moved, factor, problem.objective(weights))


class _Rows:
    """The rows of Aᵀ on a support."""

    def __init__(self, problem: Problem, mask: torch.Tensor) -> None:
        self._parts = [
            (layer.gradients, mask[start:stop])
            for layer, (start, stop) in zip(problem.layers, problem.bounds, strict=True)
        ]
        self._samples = problem.samples
        self._gathered: list[torch.Tensor] | None = None
        if int(mask.sum()) * self._samples * 4 <= _MOST_BYTES:
            self._gathered = [rows.index_select(0, part.nonzero()[:, 0]) for rows, part in self._parts]

    @property
    def scale(self) -> float:
        """The size of the system's matrix, roughly: the trace of a few weights' part."""
        return float(self._parts[0][0][:_FEW].square().sum())

    def square_times(self, vector: torch.Tensor) -> torch.Tensor:
        """A_S A_Sᵀ v, (n,)."""
        total = torch.zeros_like(vector)
        if self._gathered is not None:
            for gathered in self._gathered:
                total += torch.mv(gathered.T, torch.mv(gathered, vector))
        else:
            for rows, part in self._parts:
                total += times(rows, transposed_times(rows, vector) * part)
        return total

    def square(self, *, fast: bool | None = None) -> torch.Tensor:
        """A_S A_Sᵀ, (n, n)."""
        total = torch.zeros(self._samples, self._samples)
        for number, (rows, part) in enumerate(self._parts):
            if self._gathered is not None:
                total += dual_gram(self._gathered[number], fast=fast)
                continue
            chosen = part.nonzero()[:, 0]
            for indices in torch.split(chosen, _AT_ONCE):
                total += dual_gram(rows.index_select(0, indices), fast=fast)
        return total
