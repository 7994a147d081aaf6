"""Cost of a layer on a target, dense in ONNX Runtime and in an op of ours: read off a table of measured layers.

A layer that is not in the table costs, for each multiply-add, what the nearest layers cost that tell something about
it; near is meant in the logarithms of channels, window, pixels and stride. Where no measured layer does, it has no
cost: a small layer's time is mostly what any node takes, and a linear layer's depends on the cache that its weights
fit into, so that neither can be multiplied up or down. Linear layers and convolutions over one side, whose sizes differ
most from network to network, have grids of their own (:mod:`runtimes.cost_grids`).
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from runtimes.cost_grids import CostGrid, parse_grid

Op = Literal["CsrConv", "CsrConvAdd", "CsrGemm", "DepthwiseConv", "DenseConv"]
_TABLES = Path(__file__).parent / "cost_tables"
_NEIGHBOURS = 3
_CHANNELS, _WINDOW = 4, 4
"""How many times more or fewer channels, or weights of a window, a layer may have than one that was measured."""
_MORE_CHANNELS = 16
"""How many times more channels than one that was measured and is hardly overhead."""
_LEAST_WORK = {"CsrGemm": 1 / 2}
_LEAST_WORK_OF_OTHERS = 1 / 8
"""The share of a measured layer's multiply-adds that a layer must have. The weights of a linear layer are read once, at
the pace of the cache that holds them, so that a much smaller one is another case."""
_OVERHEAD, _MOST_WORK = 1 / 4, 2
"""A measured layer of which more than that share is overhead tells nothing about one of so many times its work."""


@dataclass(frozen=True)
class LayerCostKey:
    """Properties of a layer that its cost depends on, besides its sparsity."""

    op: Op
    out_channels: int
    in_channels: int
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    out_pixels: int = 1
    """Height times width of the output of one sample; rows of CsrGemm."""
    block_rows: int = 1
    """Output channels that share their columns: 1, 2 or 4."""
    sides: int = 2
    """Sides of what a convolution moves over: 1 for signals, of which the height is 1."""

    @property
    def macs(self) -> int:
        """Multiply-adds of one image without zeros."""
        inputs = 1 if self.op == "DepthwiseConv" else self.in_channels
        return self.out_channels * inputs * math.prod(self.kernel) * self.out_pixels


@dataclass(frozen=True)
class LayerCost:
    """Cost of a layer for one image, in the table's unit: of ONNX Runtime's dense op in its own layout, and of ours."""

    dense: float
    ours: float


@dataclass(frozen=True)
class CostPoint:
    """A measured layer. ``ours`` has one cost for each of ``densities``, ascending."""

    layer: LayerCostKey
    dense: float
    densities: tuple[float, ...]
    ours: tuple[float, ...]
    blocks: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    """By output channels of a block: what the op in blocks costs for each unit of CSR, at the same densities."""

    def at(self, density: float, block_rows: int = 1) -> float:
        """The cost of our op, linear between densities, constant beyond them and nowhere falling.

        density: share of the weights that are stored. Where blocks were not measured they cost what CSR does.
        """
        share = self.blocks.get(block_rows, (1.0,) * len(self.ours))
        rising = np.maximum.accumulate(np.multiply(self.ours, share))
        return float(np.interp(density, self.densities, rising))


@dataclass(frozen=True)
class CostTable:
    """Measured costs of layers on one target."""

    unit: str
    reorder: float
    """Cost of bringing one float from one layout to the other."""
    points: tuple[CostPoint, ...]
    grids: Mapping[str, CostGrid] = field(default_factory=dict)

    def cost(self, layer: LayerCostKey, density: float) -> LayerCost | None:
        """Predict the layer's cost at a density of its weights; None where no layer like it was measured."""
        grid = self.grids.get(_grid_of(layer))
        if grid is not None:
            return LayerCost(*grid.cost(_sizes(layer), density))
        if layer.op == "CsrGemm" and layer.out_pixels > 1:  # which runs as a 1×1 convolution does
            layer = replace(layer, op="CsrConv")
        alike = [point for point in self.points if _family(point.layer.op) == _family(layer.op)]
        overhead = _overhead(alike)
        telling = [point for point in alike if _tells(point, layer, overhead > _OVERHEAD * point.dense)]
        near = sorted((_distance(point.layer, layer), index) for index, point in enumerate(telling))[:_NEIGHBOURS]
        if not near:
            return None
        if near[0][0] == 0:
            near = near[:1]
        weights = [1 / (distance + 0.1) ** 2 for distance, _ in near]
        points = [telling[index] for _, index in near]
        work = [layer.macs / point.layer.macs for point in points]
        return LayerCost(
            _mean(weights, [share * point.dense for share, point in zip(work, points, strict=True)]),
            _mean(
                weights,
                [share * point.at(density, layer.block_rows) for share, point in zip(work, points, strict=True)],
            ),
        )

    def break_even(self, layer: LayerCostKey) -> float:
        """The smallest sparsity, in steps of 0.1 %, from which our op is known to be cheaper; 1.0 if it never is."""
        low, high = 0, 1000
        while low < high:
            middle = (low + high) // 2
            cost = self.cost(layer, 1 - middle / 1000)
            if cost is not None and cost.ours <= cost.dense:
                high = middle
            else:
                low = middle + 1
        return low / 1000


@functools.cache
def load_table(target: str) -> CostTable:
    """Load the table of a target, made by benchmarks/break_even.py."""
    table = json.loads((_TABLES / f"{target}.json").read_text(encoding="utf-8"))
    points = tuple(_point(row, table["densities"]) for row in table["points"])
    grids = {name: parse_grid(grid) for name, grid in table.get("grids", {}).items()}
    return CostTable(table["unit"], table["reorder"], points, grids)


def _point(row: dict[str, Any], densities: Sequence[float]) -> CostPoint:
    layer = LayerCostKey(
        row["op"],
        row["out_channels"],
        row["in_channels"],
        tuple(row["kernel"]),
        tuple(row["stride"]),
        row["out_pixels"],
    )
    ours = tuple(row["ours"])
    blocks = {int(rows): tuple(shares) for rows, shares in row.get("blocks", {}).items()}
    return CostPoint(layer, row["dense"], tuple(densities) if len(ours) > 1 else (1.0,), ours, blocks)


def _grid_of(layer: LayerCostKey) -> str:
    """The name of the grid that has the layer, if there is one."""
    return "CsrConv1d" if layer.sides == 1 and _family(layer.op) == "CsrConv" else layer.op


def _sizes(layer: LayerCostKey) -> dict[str, int]:
    """The layer's sizes by the names of the axes of grids."""
    channels = {"inputs": layer.in_channels, "outputs": layer.out_channels}
    return channels | {"rows": layer.out_pixels, "length": layer.out_pixels, "window": math.prod(layer.kernel)}


def _family(op: Op) -> str:
    return "CsrConv" if op == "CsrConvAdd" else op  # the addition costs both kinds the same


def _tells(point: CostPoint, layer: LayerCostKey, mostly_overhead: bool) -> bool:
    """Whether the layer is near enough to a measured one for its cost to follow from that one's."""
    measured, work = point.layer, layer.macs / point.layer.macs
    if layer.op == "CsrGemm" and layer.out_pixels != measured.out_pixels:
        return False  # weights are read once for all rows: their number is no factor
    if work < _LEAST_WORK.get(layer.op, _LEAST_WORK_OF_OTHERS) or (mostly_overhead and work > _MOST_WORK):
        return False
    most = _CHANNELS if mostly_overhead else _MORE_CHANNELS
    channels = (layer.out_channels / measured.out_channels, layer.in_channels / measured.in_channels)
    window = math.prod(layer.kernel) / math.prod(measured.kernel)
    return all(1 / _CHANNELS <= share <= most for share in channels) and 1 / _WINDOW <= window <= _WINDOW


def _overhead(points: Sequence[CostPoint]) -> float:
    """Fixed cost h of a dense layer, fitted as c ≈ h + r·w over cost c and work w, errors relative to c."""
    if len(points) < 3:
        return 0.0
    costs = np.array([point.dense for point in points])
    shares = np.stack([1 / costs, [point.layer.macs / point.dense for point in points]], axis=1)
    scale = shares.max(axis=0)
    found = np.linalg.lstsq(shares / scale, np.ones(len(points)))[0] / scale
    return max(0.0, float(found[0]))


def _distance(a: LayerCostKey, b: LayerCostKey) -> float:
    taps = abs(math.log2(math.prod(a.kernel) / math.prod(b.kernel)))
    pairs = ((a.out_channels, b.out_channels), (a.in_channels, b.in_channels), (a.out_pixels, b.out_pixels))
    steps = abs(math.log2(math.prod(a.stride) / math.prod(b.stride)))
    # A point with another window is another algorithm on both sides: it counts only where there is nothing else.
    return sum(abs(math.log2(x / y)) for x, y in pairs) + 8 * taps + steps / 2


def _mean(weights: Sequence[float], costs: Sequence[float]) -> float:
    """Weighted geometric mean."""
    logs = sum(weight * math.log(max(cost, 1e-9)) for weight, cost in zip(weights, costs, strict=True))
    return math.exp(logs / sum(weights))
