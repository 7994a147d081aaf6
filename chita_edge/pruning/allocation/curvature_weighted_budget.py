"""A global budget shared by magnitudes that are weighted by each layer's curvature."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from chita_edge.pruning.allocation.constraint import Constraint

if TYPE_CHECKING:
    from collections.abc import Sequence


def curvature_weighted_budget(
    constraint: Constraint, weights: Sequence[torch.Tensor], curvatures: Sequence[float], exponent: float
) -> Constraint:
    """Fix a global budget's share of each layer: what it keeps of the globally largest w² h^exponent.

    h is the mean curvature of the layer. With exponent 1 these are the saliencies of Optimal Brain Damage, with 0 the
    magnitudes. A negative one gives more to layers of small curvature, which are the large late ones: a refit of the
    early layers, whose inputs are strongly correlated, makes up for more of what they lose. A constraint that has a
    budget a layer already is returned as it is.

    Args:
        constraint: a pattern and a budget.
        weights: w̄ of each layer.
        curvatures: h of each layer, not negative.
        exponent: of h.
    """
    if not isinstance(constraint.keep, int):
        return constraint
    floor = 1e-6 * max(curvatures) + 1e-30
    scores = [
        weight.detach().flatten().square() * max(curvature, floor) ** exponent
        for weight, curvature in zip(weights, curvatures, strict=True)
    ]
    mask = constraint.project(torch.cat(scores))
    return Constraint(constraint.pattern, constraint.shapes, constraint.counts(mask))
