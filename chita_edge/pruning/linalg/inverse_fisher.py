"""The inverse of the damped empirical Fisher of some weights, never formed when there are more weights than samples."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch

from chita_edge.pruning.linalg.back_solve import damped_cholesky


@dataclass(frozen=True)
class InverseFisher:
    """(AᵀA + ρI)⁻¹ over m weights, n times smaller than the inverse of the mean: what saliencies need up to a factor.

    With more weights than samples, by Woodbury, ρ⁻¹(I − Aᵀ(AAᵀ + ρI)⁻¹A); otherwise from the m × m matrix.

    Attributes:
        columns: Aᵀ, float32 (m, n).
        damping: ρ = nλ > 0.
    """

    columns: torch.Tensor
    damping: float

    @cached_property
    def _factor(self) -> torch.Tensor:
        m, n = self.columns.shape
        return damped_cholesky(self.columns.T @ self.columns if m > n else self.columns @ self.columns.T, self._ridge)

    @cached_property
    def _ridge(self) -> float:
        """ρ, or where it is zero a trifle of the largest curvature, without which the inverse does not exist."""
        return max(self.damping, 1e-7 * float(self.columns.square().sum(1).max()), 1e-30)

    def matrix(self) -> torch.Tensor:
        """All of it, (m, m)."""
        m, n = self.columns.shape
        if m <= n:
            inverse: torch.Tensor = torch.cholesky_inverse(self._factor)
            return inverse.float()
        solved: torch.Tensor = torch.linalg.solve_triangular(self._factor, self.columns.T.double(), upper=False)
        whole = torch.eye(m, dtype=torch.float64) - solved.T @ solved
        return (whole / self._ridge).float()

    def diagonal(self) -> torch.Tensor:
        """Its diagonal, (m,), positive."""
        m, n = self.columns.shape
        if m <= n:
            inverse: torch.Tensor = torch.cholesky_inverse(self._factor)
            return inverse.diagonal().float()
        solved: torch.Tensor = torch.linalg.solve_triangular(self._factor.float(), self.columns.T, upper=False)
        return ((1 - solved.square().sum(0)) / self._ridge).clamp_min(1e-7 / self._ridge)

    def times(self, vector: torch.Tensor) -> torch.Tensor:
        """Its product with a vector (m,)."""
        m, n = self.columns.shape
        if m <= n:
            return torch.cholesky_solve(vector.double()[:, None], self._factor)[:, 0].float()
        inner = torch.cholesky_solve((self.columns.T @ vector).double()[:, None], self._factor)[:, 0].float()
        return (vector - self.columns @ inner) / self._ridge
