"""Weights of one layer whose outputs on the compressed network's inputs are closest to the dense network's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from chita_edge.pruning.reconstruction import LayerFit, search_support, solve_rows

if TYPE_CHECKING:
    from chita_edge.pruning import Constraint
    from chita_edge.quantization.graph import Layer
    from chita_edge.quantization.moments import Moments


def refit_dense(layer: Layer, found: Moments, ridge: float) -> torch.Tensor:
    """All weights: W = (W̄ C + ρ W̄)(G + ρ I)⁻¹ in each group, (out, K)."""
    weight = layer.weight.reshape(layer.groups, len(layer.weight) // layer.groups, -1)
    rho = max(ridge, 1e-6) * found.gram.diagonal(dim1=1, dim2=2).mean(1) + 1e-12
    system = found.gram.double() + rho[:, None, None] * torch.eye(weight.shape[2])
    right = weight.double() @ found.cross.double() + rho[:, None, None] * weight
    solved: torch.Tensor = torch.linalg.solve(system, right.mT).mT
    return solved.reshape(len(layer.weight), -1).float()


def refit_sparse(
    layer: Layer,
    found: Moments,
    ridge: float,
    constraint: Constraint,
    start: torch.Tensor | None = None,
    *,
    search: bool = True,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights of the constraint's set, refitted, and their mask; both (out, K).

    Args:
        layer: without groups.
        found: moments of its inputs.
        ridge: pull towards the dense weights.
        constraint: pattern and budget of this layer.
        start: bool, in the layer's shape, a mask of the set; when None, that of the largest saliency w² / [H⁻¹]ⱼⱼ
            (Optimal Brain Surgeon: Hassibi and Stork 1993, equation 5).
        search: for a better support; otherwise the start stays.
    """
    fit = LayerFit(layer.weight.flatten(1), found.gram[0], found.cross[0], ridge)

    def project(scores: torch.Tensor) -> torch.Tensor:
        return constraint.project(scores.flatten()).view(scores.shape)

    mask = project(saliency(fit)) if start is None else start.flatten(1)
    return search_support(fit, mask, project) if search else (solve_rows(fit, mask), mask)


def saliency(fit: LayerFit) -> torch.Tensor:
    """w̄² / [H⁻¹]ⱼⱼ: what f rises by when one weight goes and all others make up for it, times 2; (out, K)."""
    spread = torch.linalg.inv(fit.hessian.double()).diagonal().float()
    scores: torch.Tensor = fit.dense.square() / spread.clamp_min(torch.finfo(torch.float32).tiny)
    return scores


def bias_for(layer: Layer, found: Moments, weights: torch.Tensor) -> torch.Tensor:
    """b̄ + W̄ μ̄ − W μ: the bias that keeps the outputs' means, float64 (out,)."""
    dense = layer.weight.reshape(layer.groups, len(layer.weight) // layer.groups, -1).double()
    new = weights.reshape(dense.shape).double()
    moved = dense @ found.dense_mean.double()[:, :, None] - new @ found.mean.double()[:, :, None]
    return layer.bias.double() + moved.flatten()
