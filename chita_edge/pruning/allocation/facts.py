"""Facts about the layers, beside their shapes, that an allocation may use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chita_edge.pruning.errors import PruningError

if TYPE_CHECKING:
    import torch

    Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class LayerFacts:
    """Facts about the layers that compete for a budget; each is given where it is known.

    Attributes:
        weights: w̄ of each layer.
        macs: multiplications of each layer when dense, for one input.
        cost_points: for each layer (density, cost) pairs of ascending density, say a device's milliseconds; between
            them the cost is linear, outside it is the nearest one's.
        cost_sparsity: share of the dense network's cost that has to go.
    """

    weights: tuple[torch.Tensor, ...] | None = None
    macs: tuple[int, ...] | None = None
    cost_points: tuple[Points, ...] | None = None
    cost_sparsity: float | None = None


NOTHING = LayerFacts()


def given_weights(facts: LayerFacts, count: int, allocation: str) -> tuple[torch.Tensor, ...]:
    """The weights of ``count`` layers.

    Raises:
        PruningError: they are not given.
    """
    if facts.weights is None or len(facts.weights) != count:
        raise PruningError(f"The allocation {allocation!r} needs the weights of all {count} layers.")
    return facts.weights
