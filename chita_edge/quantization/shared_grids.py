"""Grids that several steps share, so that none of their values is requantised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from chita_edge.quantization.ranges import find_grid

if TYPE_CHECKING:
    from chita_edge.network.inputs import Batch
    from chita_edge.quantization.config import CompressionConfig
    from chita_edge.quantization.graph import Graph
    from chita_edge.quantization.grid import Grid

_BATCH = 100


def concat_grids(graph: Graph, images: Batch, config: CompressionConfig) -> dict[str, Grid]:
    """One grid for each concatenation and the steps that only it reads, from the dense values: none is requantised."""
    joins = [step for step in graph.steps if step.op == "concat"]
    if not joins:
        return {}
    wanted = {step.name for step in joins}
    values: dict[str, list[torch.Tensor]] = {name: [] for name in wanted}
    for batch in images.split(_BATCH):
        for step, _, value in graph.walk(batch):
            if step.name in wanted:
                values[step.name].append(value.flatten())
    found: dict[str, Grid] = {}
    for join in joins:
        grid = find_grid(torch.cat(values[join.name]), config.activation_range, join.name)
        found[join.name] = grid
        for name in join.inputs:
            if (
                graph[name].op in ("layer", "add", "average_pool", "table", "quantise")
                and len(graph.readers(name)) == 1
            ):
                found[name] = grid
    return found
