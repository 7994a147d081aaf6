"""The least-squares problem of one layer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch


@dataclass(frozen=True)
class LayerFit:
    """f(W) = ½ Σ_positions ‖W x − W̄ x̄‖² + (ρ/2)‖W − W̄‖² over a layer's weights, up to a constant.

    x are the layer's inputs in the network pruned so far, x̄ those in the dense network; only their second moments
    enter, so that any number of positions costs the same memory.

    Attributes:
        dense: W̄, float32 (out, K) with K = in · kh · kw.
        gram: Σ x xᵀ / positions, (K, K).
        cross: Σ x̄ xᵀ / positions, (K, K).
        ridge: ρ in units of the Gram matrix's mean diagonal.
    """

    dense: torch.Tensor
    gram: torch.Tensor
    cross: torch.Tensor
    ridge: float = 1e-3

    @cached_property
    def damping(self) -> float:
        """ρ; never zero, so that inputs that are always zero leave the system definite."""
        return max(self.ridge, 1e-6) * float(self.gram.diagonal().mean()) + 1e-12

    @cached_property
    def hessian(self) -> torch.Tensor:
        """H = Σ x xᵀ + ρI, (K, K), the same for each output channel."""
        hessian = self.gram.clone()
        hessian.diagonal().add_(self.damping)
        return hessian

    @cached_property
    def target(self) -> torch.Tensor:
        """G = W̄ (Σ x̄ xᵀ + ρI), (out, K): the unconstrained minimum solves W H = G."""
        return self.dense @ self.cross + self.damping * self.dense

    def objective(self, weights: torch.Tensor) -> float:
        """½⟨W H, W⟩ − ⟨G, W⟩, relative to its value at W = W̄."""
        step = (weights - self.dense).double()
        slope = (self.dense @ self.hessian - self.target).double()
        return float((0.5 * (step @ self.hessian.double()) + slope).mul(step).sum())
