"""What a sparse convolution in blocks of output channels costs for each unit of CSR with as many non-zeros."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from count_layers import count_ours

from runtimes.bindings import Kernels, aligned
from runtimes.costs import CostPoint, LayerCostKey
from runtimes.library import library
from runtimes.packed_weights import Csr
from runtimes.structures import geometry

BLOCKS = (2, 4)
_SECONDS = 0.02


def in_blocks(rng: np.random.Generator, rows: int, columns: int, density: float, block_rows: int) -> np.ndarray:
    """Signed weights [rows, columns]; each block of rows has a value in a column, or none has."""
    kept = np.repeat(rng.random((rows // block_rows, columns)) < density, block_rows, axis=0)
    return np.where(kept, rng.standard_normal((rows, columns), np.float32), np.float32(0))


def with_blocks(points: Sequence[CostPoint], timed: bool, isa: str | None) -> list[CostPoint]:
    """The points of a table; those of sparse convolutions with the shares of both blocks at the table's densities."""
    kernels = Kernels(library(), isa or "best") if timed else None
    found = []
    for point in points:
        shares: dict[int, list[float]] = {rows: [] for rows in BLOCKS if not point.layer.out_channels % rows}
        for density in point.densities if point.layer.op == "CsrConv" else ():
            costs = _time(kernels, point.layer, density) if kernels else _count(point.layer, density)
            for rows, own in shares.items():
                own.append(round(costs[rows] / costs[1], 3))
        print(point.layer, shares, flush=True)
        found.append(replace(point, blocks={rows: tuple(own) for rows, own in shares.items() if own}))
    return found


def _time(kernels: Kernels, layer: LayerCostKey, density: float) -> dict[int, float]:
    """Least nanoseconds of each, in turns."""
    rng = np.random.default_rng(0)
    side = max(1, round(layer.out_pixels**0.5)) * layer.stride[0]
    x = aligned(layer.in_channels * side * side * 4).view(np.float32).reshape(1, layer.in_channels, side, side)
    x[...] = rng.standard_normal(x.shape, np.float32)
    bias, columns = np.zeros(layer.out_channels, np.float32), layer.in_channels * layer.kernel[0] * layer.kernel[1]
    window = geometry(layer.out_channels, layer.in_channels, layer.kernel[0], layer.stride[0])
    calls: dict[int, Callable[[], None]] = {}
    kept = []
    for rows in (1, *(rows for rows in BLOCKS if not layer.out_channels % rows)):
        weight = in_blocks(rng, layer.out_channels, columns, density, rows)
        csr = Csr.of(weight) if rows == 1 else Csr.of_blocks(weight, rows)
        plan = (kernels.csr_conv if rows == 1 else kernels.block_csr_conv)(csr, bias, window, (0, 6))
        shape = plan.out_shape(x.shape)
        y = aligned(int(np.prod(shape)) * 4).view(np.float32).reshape(shape)
        calls[rows] = plan.bind(x, y)
        kept.append((plan, y))
    least = dict.fromkeys(calls, float("inf"))
    end, turns = time.perf_counter() + _SECONDS, 0
    while turns < 4 or time.perf_counter() < end:
        for rows, call in calls.items():
            start = time.perf_counter_ns()
            call()
            least[rows] = min(least[rows], time.perf_counter_ns() - start)
        turns += 1
    return least


def _count(layer: LayerCostKey, density: float) -> dict[int, float]:
    """Instructions under emulation."""
    rng = np.random.default_rng(0)
    columns = layer.in_channels * layer.kernel[0] * layer.kernel[1]
    shape = (layer.out_channels, layer.in_channels, *layer.kernel)
    return {
        rows: count_ours(layer, in_blocks(rng, layer.out_channels, columns, density, rows).reshape(shape), rows)
        for rows in (1, *(rows for rows in BLOCKS if not layer.out_channels % rows))
    }
