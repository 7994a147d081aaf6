"""Choice of the layers that become sparse on a target, by the predicted cost of the whole network."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import onnx

import exporters
from chita_edge.deploy.layouts import cheapest
from device_bench.short_numbers import short
from exporters import Decide, Decision, NetworkInfo, NetworkRule, SparsifyCandidate
from runtimes import LayerCostKey, Target
from runtimes.costs import LayerCost, Op

# Predictions err by a few per cent: with less than that to gain, the dense network is the safe choice.
LEAST_GAIN = 0.05
LINEAR_MARGIN = 1.15
"""What a sparse linear layer counts for each unit that it is predicted to cost."""
ONE_ROW_MARGIN = 1.7
"""The same of one row: it takes as long as its weights take to come from a cache, which depends on the network around
it and on the processor. Predicted at 0.78 of dense, 128×3264 at 80 % zeros took 1.3 of it on an AMD Zen 5."""
_OURS = ("CsrConv", "CsrConvAdd", "CsrGemm", "DepthwiseConv", "DenseConv")
_FOLLOW = ("DepthwiseConv", "DenseConv")
"""Ops that take the layout of their neighbours."""
UNKNOWN = LayerCost(0.0, float("inf"))
"""The cost of a layer that stays in the runtime's layout, whatever that costs there."""


def stay_dense(layer: SparsifyCandidate) -> Decision:
    """Rule of the dense baseline: every layer stays dense."""
    return Decision(sparse=False, reason=f"{layer.name} belongs to the dense network")


def decide_for(target: Target, dense: onnx.ModelProto) -> Decide:
    """Rule of :func:`cheapest_on` for one network.

    dense: the network that is going to be exported. Raises what :func:`exporters.describe` raises.
    """
    return cheapest_on(target).decide(exporters.describe(dense))


def cheapest_on(target: Target) -> NetworkRule:
    """Rule that makes layers sparse where the target's cost model finds the whole network cheapest so.

    A layer unlike all that were measured on the target stays dense, and its reason says so.
    """
    return NetworkRule(lambda network: _decide(target, network))


def _decide(target: Target, network: NetworkInfo) -> Decide:
    by_row = {layer.name: layer_cost(target, layer) for layer in network.layers}
    by_block = {layer.name: layer_cost(target, layer, in_blocks=True) for layer in network.layers}
    costs = {name: min(cost, by_block[name], key=lambda one: one.ours) for name, cost in by_row.items()}
    pairs = {name: (cost.ours, cost.dense) for name, cost in costs.items()}
    links = [(link.source, link.target, target.table.reorder * link.elements) for link in network.links]
    ours, whole = cheapest(pairs, links)
    all_dense = sum(cost.dense for cost in costs.values())
    pays = whole <= (1 - LEAST_GAIN) * all_dense
    unit = target.table.unit

    def decide(layer: SparsifyCandidate) -> Decision:
        cost = costs[layer.name]
        if layer.op not in _OURS:
            return Decision(False, f"there is no sparse op for a layer of this kind ({layer.op})")
        if cost == UNKNOWN:
            known = f"no layer like it was measured on {target.name}, so it is not known whether zeros make it faster"
            return Decision(False, f"{layer.sparsity:.0%} zeros: {known}")
        predicted = f"{short(cost.ours)} {unit} sparse, {short(cost.dense)} dense on {target.name}"
        figures = f"{layer.sparsity:.0%} zeros: {predicted}"
        if pays:
            return Decision(layer.name in ours, figures, in_blocks=by_block[layer.name].ours <= by_row[layer.name].ours)
        gain = max(0.0, 1 - whole / all_dense)
        return Decision(False, f"{figures}; the network as a whole would gain {gain:.0%} only")

    return decide


def layer_cost(target: Target, layer: SparsifyCandidate, in_blocks: bool = False) -> LayerCost:
    """Cost of one layer; :data:`UNKNOWN` for what no op of ours can do, and where the table tells nothing of it.

    A depthwise convolution or stem unlike those that were measured costs nothing in either layout, so that it decides
    nothing. in_blocks: ours in the layer's blocks, if it has any, instead of row by row.
    """
    if layer.op not in _OURS:
        return UNKNOWN
    shape = LayerCostKey(
        op=cast("Op", layer.op),
        out_channels=layer.out_channels,
        in_channels=layer.in_channels,
        kernel=layer.kernel,
        stride=layer.stride,
        out_pixels=layer.out_pixels,
        sides=layer.sides,
    )
    density = 1.0 if layer.op in _FOLLOW else 1 - layer.sparsity
    if in_blocks and layer.block_rows > 1:
        shape, density = replace(shape, block_rows=layer.block_rows), layer.block_density
    cost = target.table.cost(shape, density) or (LayerCost(0.0, 0.0) if layer.op in _FOLLOW else UNKNOWN)
    if layer.op != "CsrGemm":
        return cost
    return replace(cost, ours=(ONE_ROW_MARGIN if layer.out_pixels == 1 else LINEAR_MARGIN) * cost.ours)
