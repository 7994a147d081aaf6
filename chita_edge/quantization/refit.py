"""Weights of one layer whose outputs on the compressed network's inputs are closest to the wanted ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING

import torch

from chita_edge.pruning.reconstruction import LayerFit, RowSystems, search_support, solve_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from chita_edge.pruning import Constraint
    from chita_edge.quantization.graph import Clip, Layer
    from chita_edge.quantization.samples import Samples


_LEAST_SCALE = 1e-2


@dataclass(frozen=True)
class Refitted:
    """A layer's new weights.

    Attributes:
        weights: float32 (out, K).
        mask: bool (out, K).
        mean: wanted mean of each output, float64 (out,).
    """

    weights: torch.Tensor
    mask: torch.Tensor
    mean: torch.Tensor

    def bias(self, samples: Samples, weights: torch.Tensor) -> torch.Tensor:
        """The bias that gives the outputs of these weights the wanted mean, float64 (out,)."""
        groups, _, columns = samples.inputs.shape
        parts = weights.view(groups, -1, columns).double() @ samples.mean.double()[:, :, None]
        return self.mean - parts.flatten()


@dataclass(frozen=True)
class TargetFit(LayerFit):
    """A layer's least-squares problem with any wanted outputs; ``cross`` is not used.

    Attributes:
        wanted: E (t − E t)(x − μ)ᵀ, (out, K).
    """

    wanted: torch.Tensor | None = None

    @cached_property
    def target(self) -> torch.Tensor:
        """G, (out, K); the unconstrained minimum solves W H = G."""
        assert self.wanted is not None  # noqa: S101 (by construction)
        return self.wanted + self.damping * self.dense


def refit(
    layer: Layer,
    samples: Samples,
    ridge: float,
    clip: Clip,
    constraint: Constraint | None = None,
    start: torch.Tensor | None = None,
    *,
    importance: torch.Tensor | None = None,
    search: bool = True,
    rounds: int = 0,
) -> Refitted:
    """Least squares over the layer's weights and bias, on all weights or on a sparse support.

    Args:
        layer: the dense weights, which the ridge pulls to.
        samples: inputs and wanted outputs.
        ridge: in units of the mean squared input.
        clip: the activation that follows.
        constraint: pattern and budget of a layer without groups that loses weights; all are kept when None.
        start: bool, in the layer's shape, a mask of the constraint; when None, that of the largest `saliency`.
        importance: what a squared error of each output counts when outputs compete for the budget, float32 (out,), not
            negative; all alike when None. The best weights on a given support do not depend on it.
        search: for a better support; otherwise the start stays.
        rounds: refits with the activation in mind, see `Samples.wanted_behind`.
    """
    wanted = samples.wanted
    if constraint is None:
        mask = torch.ones(layer.weight.flatten(1).shape, dtype=torch.bool)
        solve = _dense_solver(layer, samples, ridge)
        weights = solve(wanted)
    else:
        fit = _fit(layer, samples, ridge, wanted)
        weights, mask = _solve_sparse(fit, constraint, start, _row_scales(importance, fit), search=search)
        solve = _sparse_solver(layer, samples, ridge, mask)
    if not clip.is_none:
        for _ in range(rounds):
            wanted = samples.wanted_behind(clip, samples.outputs(weights, wanted.mean(0)))
            weights = solve(wanted)
    return Refitted(weights, mask, wanted.mean(0, dtype=torch.float64))


def _fit(layer: Layer, samples: Samples, ridge: float, wanted: torch.Tensor) -> TargetFit:
    gram = samples.gram[0]
    return TargetFit(layer.weight.flatten(1), gram, gram, ridge, samples.target(wanted))


def _dense_solver(layer: Layer, samples: Samples, ridge: float) -> Callable[[torch.Tensor], torch.Tensor]:
    """All weights, (out, K), for any wanted outputs: W = (T + ρ W̄)(G + ρ I)⁻¹ in each group."""
    weight = layer.weight.reshape(layer.groups, len(layer.weight) // layer.groups, -1)
    rho = max(ridge, 1e-6) * samples.gram.diagonal(dim1=1, dim2=2).mean(1) + 1e-12
    system = samples.gram.double() + rho[:, None, None] * torch.eye(weight.shape[2])
    factors, pivots = torch.linalg.lu_factor(system)

    def solve(wanted: torch.Tensor) -> torch.Tensor:
        right = samples.target(wanted).view(weight.shape).double() + rho[:, None, None] * weight
        solved: torch.Tensor = torch.linalg.lu_solve(factors, pivots, right.mT).mT
        return solved.reshape(len(layer.weight), -1).float()

    return solve


def _sparse_solver(
    layer: Layer, samples: Samples, ridge: float, mask: torch.Tensor
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Weights that are zero outside the mask, (out, K), for any wanted outputs."""

    @cache
    def systems() -> RowSystems:
        return RowSystems(_fit(layer, samples, ridge, samples.wanted).hessian, mask)

    return lambda wanted: systems().solve(_fit(layer, samples, ridge, wanted).target)


def _solve_sparse(
    fit: TargetFit, constraint: Constraint, start: torch.Tensor | None, scales: torch.Tensor, *, search: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights of the constraint's set and their mask, (out, K), in outputs scaled by ``scales`` (out, 1)."""
    assert fit.wanted is not None  # noqa: S101 (by construction)
    scaled = TargetFit(fit.dense * scales, fit.gram, fit.gram, fit.ridge, fit.wanted * scales)

    def project(scores: torch.Tensor) -> torch.Tensor:
        return constraint.project(scores.flatten()).view(scores.shape)

    mask = project(saliency(scaled)) if start is None else start.flatten(1)
    weights, mask = search_support(scaled, mask, project) if search else (solve_rows(scaled, mask), mask)
    return weights / scales, mask


def _row_scales(importance: torch.Tensor | None, fit: TargetFit) -> torch.Tensor:
    """Root of each output's importance, (out, 1), of mean 1; none is much less, or its weights would not be told."""
    if importance is None or not bool(importance.any()):
        return torch.ones(len(fit.dense), 1)
    roots = importance.sqrt()[:, None]
    return (roots / roots.mean()).clamp_min(_LEAST_SCALE)


def saliency(fit: LayerFit) -> torch.Tensor:
    """w̄² / [H⁻¹]ⱼⱼ, (out, K): twice what f rises by when one weight goes and all others make up for it.

    Optimal Brain Surgeon (Hassibi and Stork 1993, equation 5).
    """
    spread = torch.linalg.inv(fit.hessian.double()).diagonal().float()
    scores: torch.Tensor = fit.dense.square() / spread.clamp_min(torch.finfo(torch.float32).tiny)
    return scores
