"""Share of a budget among layers by what their outputs lose at each density, measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from chita_edge.pruning import Constraint, InfeasibleBudgetError
from chita_edge.pruning.reconstruction import LayerFit, solve_rows
from chita_edge.quantization.moments import GramSums, position_count
from chita_edge.quantization.refit import saliency
from chita_edge.quantization.rounding import round_nearest, row_scales

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chita_edge.network.inputs import Batch
    from chita_edge.pruning import Pattern
    from chita_edge.quantization.curvature import Curvature
    from chita_edge.quantization.graph import Graph

DENSITIES = (0.03, 0.07, 0.14, 0.25, 0.4, 0.6, 0.8)
_BATCH = 50
_LEVELS = 100
LEVELS = np.linspace(1 / _LEVELS, 1.0, _LEVELS)
"""Densities that budgets are shared in."""
_UNITS = 4000
_LEAST_ERROR = 1e-4
_MOST_ROWS, _RUN = 96, 4
ROUNDED_BITS = 4
BY_WEIGHTS, BY_COST = (0.6, 0.5), (0.8, 0.0)
"""Exponents of `share_budget` for budgets in weights, and in multiplications or time."""


@dataclass(frozen=True)
class Curve:
    """Loss of a layer at each density.

    Attributes:
        errors: squared error of the outputs at `DENSITIES`, each output channel weighted by its curvature, relative to
            the outputs' variance weighted likewise.
        sensitivity: that variance, E Σ (∂ℓ/∂y)² Var y: about what the loss of the network would rise by without the
            layer.
        weights: number of weights.
        multiplications: of the dense layer, for one image.
        rounding: squared error of the outputs where all weights are rounded to nearest at four bits, relative likewise.
    """

    errors: tuple[float, ...]
    sensitivity: float
    weights: int
    multiplications: int
    rounding: float = 0.0


def measure_curves(
    graph: Graph,
    images: Batch,
    names: Sequence[str],
    patterns: Mapping[str, Pattern],
    curvatures: Mapping[str, Curvature],
    *,
    rows: int,
    ridge: float,
) -> dict[str, dict[str, Curve]]:
    """The curve of each layer by itself, on the dense network's inputs, its weights refitted at each density.

    Of each pattern by its name, from one set of Gram matrices.

    Nothing here depends on how a layer's channels are scaled: neither the relative errors nor the sensitivity.

    Args:
        graph: the dense network.
        images: some calibration images.
        names: of layers without groups.
        patterns: of the zeros, by name.
        curvatures: of the layers.
        rows: positions of each layer's inputs.
        ridge: of the refit.
    """
    sums = {name: GramSums(graph.layers[name], len(images), rows=rows) for name in names}
    positions: dict[str, int] = {}
    with torch.no_grad():
        for batch in images.split(_BATCH):
            for step, inputs, _ in graph.walk(batch):
                if step.name in sums:
                    sums[step.name].add(inputs[0])
                    positions[step.name] = position_count(step.weights, inputs[0])
        found: dict[str, dict[str, Curve]] = {name: {} for name in patterns}
        for name in names:
            gram = sums.pop(name).gram()[0]
            weight, curvature = graph.layers[name].weight, curvatures[name]
            for pattern, curve in _curves(weight, gram, patterns, curvature, ridge, positions[name]).items():
                found[pattern][name] = curve
        return found


def _curves(
    weight: torch.Tensor,
    gram: torch.Tensor,
    patterns: Mapping[str, Pattern],
    curvature: Curvature,
    ridge: float,
    positions: int,
) -> dict[str, Curve]:
    """One layer's, by pattern.

    Rows are scaled by the root of their curvature, which leaves each row's best weights the same. Of a layer with many
    outputs the errors are those of some, since each output is a problem of its own.
    """
    every = weight.flatten(1) * curvature.outputs.sqrt()[:, None]
    whole = float(((every @ gram) * every).sum())
    chosen = _some_rows(len(every))
    rows, shape = every[chosen], weight[chosen].shape
    share = float(((rows @ gram) * rows).sum())
    fit = LayerFit(rows, gram, gram, ridge)
    scores = saliency(fit).flatten()
    rest = _rounded(rows) - rows
    rounding = float(((rest @ gram) * rest).sum()) / max(share, 1e-30)
    found = {}
    for name, pattern in patterns.items():
        errors = []
        for density in DENSITIES:
            constraint = Constraint(pattern, (shape,), (int(density * shape.numel()),))
            mask = constraint.project(scores).view(rows.shape)
            rest = solve_rows(fit, mask) - rows
            errors.append(float(((rest @ gram) * rest).sum()) / max(share, 1e-30))
        found[name] = Curve(tuple(errors), whole, weight.numel(), weight.numel() * positions, rounding)
    return found


def _rounded(rows: torch.Tensor) -> torch.Tensor:
    """Weights at four bits, to nearest."""
    scale = row_scales(rows, torch.zeros(len(rows)), 1.0, ROUNDED_BITS)
    return round_nearest(rows, scale, ROUNDED_BITS) * scale[:, None]


def _some_rows(count: int) -> torch.Tensor:
    """At most 96 rows in runs of four, which patterns that join rows keep whole, evenly spread."""
    if count <= _MOST_ROWS:
        return torch.arange(count)
    starts = torch.linspace(0, count // _RUN - 1, _MOST_ROWS // _RUN).long() * _RUN
    return (starts[:, None] + torch.arange(_RUN)).flatten()


def losses_at(curve: Curve, exponents: tuple[float, float]) -> NDArray[np.float64]:
    """λ e of `share_budget` at each of the densities `LEVELS`."""
    weight = max(curve.sensitivity, 1e-30) ** exponents[0] * curve.weights ** exponents[1]
    return float(weight) * _errors_at(curve, LEVELS)


def share_budget(
    curves: Sequence[Curve], costs: Sequence[float], allowed: float, *, exponents: tuple[float, float] = BY_WEIGHTS
) -> list[float]:
    """Density of each layer that makes Σ λ e(density) least, at a total cost Σ cost · density of at most ``allowed``.

    λ = sensitivity^γ · weights^β. With γ = 1 and β = 0 the sum is what the loss would rise by if each layer were pruned
    alone. But what early layers lose the refit of later ones makes up for in part; the exponents, found on
    ResNet-20, take that into account.

    Args:
        curves: of the layers.
        costs: of each when dense, in any unit.
        allowed: what all may cost, in the same unit.
        exponents: γ and β.

    Raises:
        InfeasibleBudgetError: less than 1 % would be left of the layers.
    """
    losses = [losses_at(curve, exponents) for curve in curves]
    chosen = best_choices(losses, [LEVELS * cost for cost in costs], allowed)
    return [float(LEVELS[level]) for level in chosen]


def best_choices(
    losses: Sequence[NDArray[np.float64]], costs: Sequence[NDArray[np.float64]], allowed: float
) -> list[int]:
    """The option of each layer that makes the sum of losses least at a sum of costs of at most ``allowed``.

    A knapsack with one item of each kind, by dynamic programming over the budget in 4,000 parts; costs are rounded up
    to these.

    Args:
        losses: of the options of each layer.
        costs: of the same options, in any unit.
        allowed: what all may cost, in the same unit.

    Raises:
        InfeasibleBudgetError: the cheapest options cost more.
    """
    if not allowed > 0:
        raise _too_little()
    unit = allowed / _UNITS
    best = np.zeros(_UNITS + 1)
    choices = []
    for loss, cost in zip(losses, costs, strict=True):
        needed = np.ceil(cost / unit - 1e-9).astype(int)
        found = np.full((len(loss), _UNITS + 1), np.inf)
        for option, need in enumerate(needed):
            if need <= _UNITS:
                found[option, need:] = best[: _UNITS + 1 - need] + loss[option]
        choices.append((found.argmin(0), needed))
        best = found.min(0)
    if not np.isfinite(best[-1]):
        raise _too_little()
    options, left = [], _UNITS
    for chosen, needed in reversed(choices):
        option = int(chosen[left])
        options.append(option)
        left -= int(needed[option])
    return options[::-1]


def _too_little() -> InfeasibleBudgetError:
    return InfeasibleBudgetError(
        "The budget leaves less than 1 % of the layers that may be pruned: the others cost as much. Ask for less."
    )


def _errors_at(curve: Curve, levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Relative errors between the measured ones, their logarithm linear in the density and never rising."""
    known = np.minimum.accumulate(np.clip([1.0, *curve.errors, _LEAST_ERROR], _LEAST_ERROR, 1.0))
    errors: NDArray[np.float64] = np.exp(np.interp(levels, [0.0, *DENSITIES, 1.0], np.log(known)))
    errors[-1] = 0.0
    return errors
