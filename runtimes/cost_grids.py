"""Cost of layers on a regular grid of their sizes, measured, and read between its points.

Between the points the logarithm of the cost is linear in the logarithms of the sizes: a product of sizes times a rate
is so, and so is what any node takes, whatever its size. Below the smallest sizes the cost is theirs, as it is overhead
there; beyond the largest it grows with the multiply-adds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class CostGrid:
    """Measured costs. axes: names and ascending sizes. dense: of the runtime's op; ours: by density, which ascends."""

    axes: Mapping[str, tuple[int, ...]]
    densities: tuple[float, ...]
    dense: np.ndarray[Any, Any]
    ours: np.ndarray[Any, Any]

    def cost(self, sizes: Mapping[str, int], density: float) -> tuple[float, float]:
        """Costs of the layer of these sizes, dense and in our op at that density; one is needed for each axis."""
        work, corners = 1.0, []
        for name, known in self.axes.items():
            size = sizes[name]
            work *= max(1.0, size / known[-1])
            corners.append(_between(known, size))
        dense = ours = 0.0
        for corner in itertools.product(*corners):
            place = tuple(index for index, _ in corner)
            weight = math.prod(share for _, share in corner)
            dense += weight * math.log(self.dense[place])
            rising = np.maximum.accumulate(self.ours[place])
            ours += weight * math.log(float(np.interp(density, self.densities, rising)))
        return work * math.exp(dense), work * math.exp(ours)


def parse_grid(table: Mapping[str, Any]) -> CostGrid:
    """The grid that a table of ``cost_tables`` holds: a row for each point, the last axis fastest, dense first."""
    axes = {name: tuple(sizes) for name, sizes in table["axes"].items()}
    rows = np.array(table["points"], np.float64)
    shape = tuple(len(sizes) for sizes in axes.values())
    return CostGrid(axes, tuple(table["densities"]), rows[:, 0].reshape(shape), rows[:, 1:].reshape(*shape, -1))


def _between(known: Sequence[int], size: int) -> list[tuple[int, float]]:
    """The neighbours of a size on an axis and the share of each."""
    if size <= known[0] or len(known) == 1:
        return [(0, 1.0)]
    if size >= known[-1]:
        return [(len(known) - 1, 1.0)]
    above = next(index for index, other in enumerate(known) if other >= size)
    share = math.log(size / known[above - 1]) / math.log(known[above] / known[above - 1])
    return [(above - 1, 1 - share), (above, share)]
