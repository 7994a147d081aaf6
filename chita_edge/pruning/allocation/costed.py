"""A budget of cost, multiplications or time, beside one of weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from chita_edge.pruning.errors import InfeasibleBudgetError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_GRID = 200
_BISECTIONS = 60


@dataclass(frozen=True)
class _Choices:
    """Options of each layer: row l holds layer l's numbers of kept weights, their score, and their cost."""

    counts: torch.Tensor
    worth: torch.Tensor
    cost: torch.Tensor

    def at(self, per_weight: float, per_cost: float) -> torch.Tensor:
        """Each layer's best choice at these prices; the smaller of equal ones."""
        return (self.worth - per_weight * self.counts - per_cost * self.cost).argmax(1, keepdim=True)

    def totals(self, choice: torch.Tensor) -> tuple[float, float]:
        return float(self.counts.gather(1, choice).sum()), float(self.cost.gather(1, choice).sum())


def costed_budget(
    weights: Sequence[torch.Tensor], kept: int, cost: Callable[[int, float], float], limit: float
) -> tuple[int, ...]:
    """Numbers of weights that retain the largest sum of squares within both budgets.

    Maximise Σ_l Σ (the k_l largest squares of layer l) subject to Σ k_l ≤ K and Σ_l cost_l(k_l) ≤ C, by prices for a
    weight and for the cost (a Lagrangian relaxation of FALCON's integer program: Meng et al. 2024, arXiv 2403.07094,
    section 3) on a grid of densities; what the grid leaves of K is shared out as far as C allows. The layer
    never keeps less than one weight.

    Args:
        weights: of the layers.
        kept: K.
        cost: of layer l at a density in (0, 1]; must not fall as the density rises by much, or the grid will use that.
        limit: C.

    Raises:
        InfeasibleBudgetError: one weight a layer costs more than C already.
    """
    choices = _choices(weights, cost)
    least = choices.totals(choices.cost.argmin(1, keepdim=True))[1]
    if least > limit:
        raise InfeasibleBudgetError(
            f"The cost budget of {limit:.6g} cannot be met: even almost empty layers cost {least:.6g}. Allow more."
        )

    def within_weights(per_cost: float) -> torch.Tensor:
        return _cheapest(lambda price: choices.at(price, per_cost), lambda c: choices.totals(c)[0] <= kept)

    best = _cheapest(within_weights, lambda c: choices.totals(c)[1] <= limit)
    return _filled(choices, best, [weight.numel() for weight in weights], kept, cost, limit)


def _choices(weights: Sequence[torch.Tensor], cost: Callable[[int, float], float]) -> _Choices:
    counts, worth, costs = [], [], []
    for number, weight in enumerate(weights):
        size = weight.numel()
        squares = weight.detach().flatten().double().square().sort(descending=True).values.cumsum(0)
        grid = torch.linspace(0, 1, _GRID, dtype=torch.float64).square().mul(size).round().long().clamp(1, size)
        counts.append(grid.double())
        worth.append(squares[grid - 1])
        costs.append(torch.tensor([cost(number, int(k) / size) for k in grid], dtype=torch.float64))
    return _Choices(torch.stack(counts), torch.stack(worth), torch.stack(costs))


def _cheapest(at: Callable[[float], torch.Tensor], fits: Callable[[torch.Tensor], bool]) -> torch.Tensor:
    """The choice at the lowest price at which it fits, found by bisection on the price's logarithm."""
    if fits(free := at(0.0)):
        return free
    low, high = 1e-30, 1e30
    for _ in range(_BISECTIONS):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if fits(at(middle)) else (middle, high)
    return at(high)


def _filled(
    choices: _Choices,
    choice: torch.Tensor,
    sizes: list[int],
    kept: int,
    cost: Callable[[int, float], float],
    limit: float,
) -> tuple[int, ...]:
    """Move every layer towards its next choice by the largest common share that both budgets allow."""
    now = choices.counts.gather(1, choice)[:, 0]
    step = choices.counts.gather(1, (choice + 1).clamp_max(choices.counts.shape[1] - 1))[:, 0] - now

    def moved(share: float) -> list[int]:
        return (now + share * step).floor().long().tolist()

    low, high = 0.0, 1.0
    for _ in range(30):
        share = (low + high) / 2
        counts = moved(share)
        spent = sum(cost(number, count / sizes[number]) for number, count in enumerate(counts))
        low, high = (share, high) if sum(counts) <= kept and spent <= limit else (low, share)
    return tuple(moved(low))
