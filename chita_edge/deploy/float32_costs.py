"""Predicted cost of a sparse float32 network on a target, to set beside that of int8 ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch

from chita_edge.quantization.moments import position_count
from runtimes import LayerCostKey, Target

if TYPE_CHECKING:
    from collections.abc import Collection

    from chita_edge.deploy.int8_costs import Int8Costs
    from chita_edge.network.inputs import Batch
    from chita_edge.quantization.graph import Graph, Step
    from runtimes.costs import Op


_STEM_CHANNELS = 4
"""Most input channels of what `exporters` takes for a stem."""


def float32_cost(
    target: Target, costs: Int8Costs, graph: Graph, image: Batch, names: Collection[str], sparsity: float
) -> float:
    """Cost of one image, each layer sparse or dense, whichever costs less.

    What was not measured in float32 (layers unlike all that were, steps without weights) is taken to cost what it does
    in int8 with all weights, so that it makes neither of the two faster.

    Args:
        target: with measured layers.
        costs: of int8 on it.
        graph: the network.
        image: one, float32 (1, …), for the sizes.
        names: of the layers that lose weights.
        sparsity: share of zeros in each of them.
    """
    total = 0.0
    with torch.no_grad():
        for step, inputs, value in graph.walk(image):
            if step.layer is None:
                total += costs.rates.elements(value.numel())
                continue
            key = _key(graph, step, inputs[0])
            density = 1 - sparsity if step.name in names else 1.0
            cost = None if key is None else target.table.cost(key, density)
            total += costs.layer(step, inputs[0]) if cost is None else min(cost.ours, cost.dense)
    return total


def _key(graph: Graph, step: Step, inputs: torch.Tensor) -> LayerCostKey | None:
    """What the table knows a layer by; None for convolutions in groups that are not depthwise."""
    layer, shape = step.weights, step.weights.weight.shape
    if 1 < layer.groups < len(layer.weight):
        return None
    if not layer.is_convolution:
        return LayerCostKey("CsrGemm", shape[0], shape[1], out_pixels=position_count(layer, inputs))
    is_stem = graph[step.inputs[0]].op == "input" and shape[2:] != (1, 1) and shape[1] <= _STEM_CHANNELS
    op = "DepthwiseConv" if layer.groups > 1 else "DenseConv" if is_stem else "CsrConv"
    return LayerCostKey(
        op=cast("Op", op),
        out_channels=shape[0],
        in_channels=shape[1] * layer.groups,
        kernel=(shape[2], shape[3]),
        stride=layer.stride,
        out_pixels=position_count(layer, inputs),
        sides=1 if inputs.shape[2] == shape[2] == 1 else 2,
    )
