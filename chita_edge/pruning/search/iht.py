"""Iterative hard thresholding with a line search along the projected ray."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from chita_edge.pruning.quadratic import Quadratic

    Project = Callable[[torch.Tensor], torch.Tensor]

_HALVINGS = 4
_DOUBLINGS = 12


@dataclass(frozen=True)
class Iterate:
    """State of iterative hard thresholding: weights, and the objective of each iteration."""

    weights: torch.Tensor
    mask: torch.Tensor
    trace: tuple[float, ...]


def iht(
    quadratic: Quadratic,
    weights: torch.Tensor,
    mask: torch.Tensor,
    project: Project,
    *,
    max_iterations: int,
    tolerance: float = 1e-4,
) -> Iterate:
    """Minimise q over sparse vectors by w ← P(w − τ∇q(w)) (Benbaki et al. 2023, section 3.1); never goes up.

    Each iteration takes two steps. On the present support the ray's objective is a one-dimensional quadratic, whose
    best step τ = ‖∇_S‖² / (‖A∇_S‖² + ρ‖∇_S‖²) is exact. Past the first change of support it is not: from the Cauchy
    step of the full gradient, τ is doubled while the objective falls, or halved until it does.

    Args:
        quadratic: q, over m weights.
        weights: a start, zero outside ``mask``, (m,).
        mask: its support.
        project: from scores (m,) to the mask of the largest total score.
        max_iterations: at most so many.
        tolerance: stop when an iteration gains less than this share of the objective.

    """
    residual = quadratic.residual(weights)
    value = quadratic.objective_at(weights, residual)
    trace = [value]
    for _ in range(max_iterations):
        weights, residual = _exact_step(quadratic, weights, mask, residual)
        value = min(value, quadratic.objective_at(weights, residual))
        weights, mask, residual, moved = _search(quadratic, weights, mask, residual, value, project)
        trace.append(min(value, moved))
        value = trace[-1]
        if trace[-2] - value <= tolerance * abs(trace[-2]):
            break
    return Iterate(weights, mask, tuple(trace))


def _exact_step(
    quadratic: Quadratic, weights: torch.Tensor, mask: torch.Tensor, residual: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The best step along the negative gradient within the support."""
    direction = quadratic.gradient_at(weights, residual) * mask
    change = torch.mv(quadratic.columns.T, direction)
    slope = float(direction @ direction)
    bend = float(change @ change) + quadratic.damping * slope
    if not 0 < bend < torch.inf:
        return weights, residual
    return weights - slope / bend * direction, residual - slope / bend * change


def _search(
    quadratic: Quadratic,
    weights: torch.Tensor,
    mask: torch.Tensor,
    residual: torch.Tensor,
    value: float,
    project: Project,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, float]:
    """The best point found on the projected ray, or the start where none is better."""
    gradient = quadratic.gradient_at(weights, residual)
    change = torch.mv(quadratic.columns.T, gradient)
    slope = float(gradient @ gradient)
    bend = float(change @ change) + quadratic.damping * slope
    best = (weights, mask, residual, value)
    if not 0 < bend < torch.inf:
        return best

    def at(step: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, float]:
        moved = weights - step * gradient
        support = project(moved.square())
        moved = moved * support
        there = quadratic.residual(moved)
        return moved, support, there, quadratic.objective_at(moved, there)

    step = slope / bend
    for _ in range(_HALVINGS):
        candidate = at(step)
        if candidate[3] < best[3]:
            best = candidate
            break
        step *= 0.5
    else:
        return best
    for _ in range(_DOUBLINGS):
        step *= 2
        candidate = at(step)
        if not candidate[3] < best[3]:
            break
        best = candidate
    return best
