"""A global budget shared by magnitudes that are weighted by each layer's curvature."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from chita_edge.pruning.allocation.constraint import Constraint

if TYPE_CHECKING:
    from collections.abc import Sequence


def curvature_weighted_budget(
    constraint: Constraint,
    weights: Sequence[torch.Tensor],
    curvatures: Sequence[float],
    exponent: float,
    *,
    least: float = 0.0,
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
        least: density that each layer keeps at least, as a share of the density of all; 0 to 1.
    """
    if not isinstance(constraint.keep, int):
        return constraint
    floor = 1e-6 * max(curvatures) + 1e-30
    scores = [
        weight.detach().flatten().square() * max(curvature, floor) ** exponent
        for weight, curvature in zip(weights, curvatures, strict=True)
    ]
    sizes = [weight.numel() for weight in weights]
    lowest = [int(least * constraint.keep / max(1, sum(sizes)) * size) for size in sizes]
    kept: dict[int, int] = {}  # layers at the lowest; what they take of the budget the others lack
    while True:
        others = [number for number in range(len(sizes)) if number not in kept]
        some = Constraint(
            constraint.pattern,
            tuple(constraint.shapes[number] for number in others),
            constraint.keep - sum(kept.values()),
        )
        counts = dict(zip(others, some.counts(some.project(torch.cat([scores[n] for n in others]))), strict=True))
        below = [number for number, count in counts.items() if count < lowest[number]]
        if not below:
            return Constraint(
                constraint.pattern, constraint.shapes, tuple((kept | counts)[number] for number in range(len(sizes)))
            )
        kept |= {number: lowest[number] for number in below}
        if len(kept) == len(sizes):  # of blocks a layer can lack some weights of its budget
            return Constraint(constraint.pattern, constraint.shapes, tuple(lowest))
