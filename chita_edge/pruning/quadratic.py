"""A damped least-squares function of a few weights, small enough to hold its columns together in memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Quadratic:
    """q(w) = ½‖A (w − w̄) + b‖² + (ρ/2)‖w − w̄‖² + constant, over m weights.

    Attributes:
        columns: Aᵀ, float32 (m, n).
        dense: w̄, (m,).
        offset: b, (n,): what all other weights contribute to the residual, and the first-order term.
        damping: ρ = nλ.
        constant: the part of the whole problem's objective that these weights do not change.

    """

    columns: torch.Tensor
    dense: torch.Tensor
    offset: torch.Tensor
    damping: float
    constant: float = 0.0

    def residual(self, weights: torch.Tensor) -> torch.Tensor:
        """A (w − w̄) + b, (n,)."""
        return torch.mv(self.columns.T, weights - self.dense) + self.offset

    def objective(self, weights: torch.Tensor) -> float:
        """q(w)."""
        return self.objective_at(weights, self.residual(weights))

    def objective_at(self, weights: torch.Tensor, residual: torch.Tensor) -> float:
        """q(w) when the residual at w is known already."""
        squares = float(residual.double().square().sum())
        return 0.5 * (squares + self.damping * float((weights - self.dense).double().square().sum())) + self.constant

    def gradient_at(self, weights: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
        """∇q(w) = Aᵀr + ρ(w − w̄), (m,), when the residual at w is known already."""
        return torch.mv(self.columns, residual).add_(weights - self.dense, alpha=self.damping)

    def restrict(self, chosen: torch.Tensor) -> Quadratic:
        """Q as a function of the weights at the indices ``chosen`` alone, all others being zero."""
        others = self.dense.clone()
        others[chosen] = 0
        lost = 0.5 * self.damping * float(others.double().square().sum())
        return Quadratic(
            self.columns.index_select(0, chosen),
            self.dense[chosen],
            self.offset - torch.mv(self.columns.T, others),
            self.damping,
            self.constant + lost,
        )
