"""Budgets of single layers: sparsities that a user gives, and a classifier's head kept denser than the rest."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chita_edge.pruning import Constraint, LayerFacts
from chita_edge.pruning.allocation.curvature_weighted_budget import curvature_weighted_budget
from chita_edge.pruning.patterns.grouped import Grouped

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from chita_edge.engine.plan import PruningPlan

_LEAST_IN_BLOCKS = 0.3
"""Density of each layer at least, as a share of the density of all. Magnitudes alone take all blocks of large late
layers, as of the embedded MobileNet at 90 % zeros in blocks 1x4, which then classifies little."""


def fixed_budgets(plan: PruningPlan, sizes: Sequence[int], sparsity: float) -> dict[int, int]:
    """Weights that single layers keep at one round's sparsity, by the layer's number.

    Sparsities of single layers rise as the common one does. A head that is kept denser has half of the sparsity, where
    the others can make up for it and still keep half of their weights.
    """
    share = sparsity / plan.config.sparsity if plan.config.sparsity else 1.0
    fixed = {name: given * share for name, given in plan.fixed.items()}
    if plan.denser is not None and not fixed:
        head = sizes[plan.names.index(plan.denser)]
        left = (1 - sparsity) * sum(sizes) - head * (1 - sparsity / 2)
        if head == sum(sizes) or left < (sum(sizes) - head) * (1 - sparsity) / 2:
            return {}
        fixed = {plan.denser: sparsity / 2}
    return {number: round(sizes[number] * (1 - fixed[name])) for number, name in enumerate(plan.names) if name in fixed}


def open_constraint(
    plan: PruningPlan, shapes: tuple[torch.Size, ...], sparsity: float, facts: LayerFacts
) -> Constraint:
    """The constraint of the layers whose budgets are free.

    They make up for what a denser head keeps.
    """
    assert plan.pattern is not None  # noqa: S101 (whole channels are chosen elsewhere)
    sizes = [shape.numel() for shape in shapes]
    fixed = fixed_budgets(plan, sizes, sparsity)
    free = [number for number in range(len(shapes)) if number not in fixed]
    wanted = sparsity
    if plan.denser is not None and fixed and not plan.fixed:
        wanted = 1 - ((1 - sparsity) * sum(sizes) - sum(fixed.values())) / sum(sizes[number] for number in free)
    chosen = tuple(shapes[number] for number in free)
    return Constraint(plan.pattern, chosen, plan.allocation(chosen, wanted, _of(facts, free)) if free else ())


def whole_constraint(
    plan: PruningPlan,
    free: Constraint,
    weights: Sequence[torch.Tensor],
    curvatures: Sequence[float],
    sparsity: float,
) -> Constraint:
    """The constraint of all layers, from that of those whose budgets are free.

    Args:
        plan: the method's exponent weights a global budget by curvature, see `curvature_weighted_budget`.
        free: of `open_constraint`.
        weights: of all layers.
        curvatures: mean curvature of all layers.
        sparsity: of the round.
    """
    fixed = fixed_budgets(plan, [weight.numel() for weight in weights], sparsity)
    numbers = [number for number in range(len(weights)) if number not in fixed]
    exponent, least = plan.method.curvature_exponent, _LEAST_IN_BLOCKS if _is_refitted_in_blocks(plan) else 0.0
    if exponent or fixed or least:
        free = curvature_weighted_budget(
            free,
            [weights[number] for number in numbers],
            [curvatures[number] for number in numbers],
            exponent,
            least=least,
        )
    if not fixed:
        return free
    assert not isinstance(free.keep, int)  # noqa: S101 (its shares are fixed above)
    keep = fixed | dict(zip(numbers, free.keep, strict=True))
    shapes = tuple(weight.shape for weight in weights)
    return Constraint(free.pattern, shapes, tuple(keep[number] for number in range(len(weights))))


def _is_refitted_in_blocks(plan: PruningPlan) -> bool:
    """Whether layers lose blocks of several weights, and are refitted then."""
    return plan.method.reconstruct and isinstance(plan.pattern, Grouped) and plan.pattern.inputs is not None


def _of(facts: LayerFacts, numbers: Sequence[int]) -> LayerFacts:
    """Facts about some layers."""
    return replace(
        facts,
        weights=None if facts.weights is None else tuple(facts.weights[number] for number in numbers),
        macs=None if facts.macs is None else tuple(facts.macs[number] for number in numbers),
        cost_points=None if facts.cost_points is None else tuple(facts.cost_points[number] for number in numbers),
    )
