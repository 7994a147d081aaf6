"""Predicted cost of an int8 network on a target, and the form of each layer that costs least."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from device_bench.short_numbers import short
from exporters import QuantisedCandidate, QuantisedDecide, QuantisedDecision, stored_share
from runtimes.int8_costs import Int8Rates, gathered_inputs, load_int8_rates

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import torch

    from chita_edge.network.inputs import Batch
    from chita_edge.pruning import Constraint
    from chita_edge.quantization.cost_budget import LayerCosts
    from chita_edge.quantization.graph import Graph, Step
    from runtimes import Target


_GROUP = 4
_ALIKE = 1.03
"""Costs that differ by less are told apart by no prediction."""
_TOLD = 0.05
"""Share of zeros from which a layer's other forms are worth a word."""


@dataclass(frozen=True)
class Int8Costs:
    """Costs on one target.

    Attributes:
        rates: measured on it.
    """

    rates: Int8Rates

    @property
    def unit(self) -> str:
        """Of all costs."""
        return self.rates.unit

    def network(self, graph: Graph, image: Batch, names: Collection[str], structures: Collection[str]) -> NetworkCosts:
        """Costs of a network's layers in every form.

        Args:
            graph: the steps.
            image: one, float32 (1, …), for the sizes.
            names: of the layers that may lose weights.
            structures: of their zeros.
        """
        import torch  # which who exports a file need not have

        from chita_edge.quantization.budgets import LEVELS
        from chita_edge.quantization.cost_budget import LayerCosts

        fixed, layers = 0.0, {}
        with torch.no_grad():
            for step, inputs, value in graph.walk(image):
                if step.layer is None:
                    fixed += self.rates.elements(value.numel())
                    if step.op == "float":  # at least that, and what is taken out of codes first
                        fixed += sum(self.rates.elements(one.numel()) for one in inputs)
                elif step.name not in names:
                    fixed += self.layer(step, inputs[0])
                else:
                    blocks = {
                        one: np.array([self.layer(step, inputs[0], one, float(density)) for density in LEVELS])
                        for one in structures
                    }
                    layers[step.name] = LayerCosts(self.layer(step, inputs[0]), blocks)
        return NetworkCosts(fixed, layers)

    def layer(self, step: Step, inputs: torch.Tensor, form: str = "dense", density: float = 1.0) -> float:
        """Cost of a layer with all its weights, or in blocks at a density."""
        from chita_edge.quantization.moments import position_count

        layer, positions = step.weights, position_count(step.weights, inputs)
        outputs = len(layer.weight) * positions
        if 1 < layer.groups == len(layer.weight):
            return self.rates.depthwise_layer(layer.weight.numel() * positions, outputs, layer.stride)
        kernel = (layer.weight.shape[2], layer.weight.shape[3]) if layer.is_convolution else (1, 1)
        gathered = gathered_inputs(layer.weight.shape[1] * layer.groups, kernel, layer.stride, positions)
        macs = layer.weight.numel() * layer.groups * positions
        if layer.groups == 1:
            return self.rates.layer(form, round(density * macs), outputs, gathered)
        # All weights of a group, in blocks that leave out the zeros between groups.
        padded = -(-layer.weight.shape[1] // _GROUP) * _GROUP * layer.weight[:, 0].numel() * positions
        grouped = min(self.rates.layer(one, padded, outputs, gathered) for one in ("1x4", "2x4"))
        return min(self.rates.layer("dense", macs, outputs, gathered), grouped)


@dataclass(frozen=True)
class NetworkCosts:
    """Costs of a network's parts for one image.

    Attributes:
        fixed: of all that loses no weights.
        layers: of the others, by name.
    """

    fixed: float
    layers: Mapping[str, LayerCosts]

    def predicted(self, constraints: Mapping[str, Constraint]) -> float:
        """Cost of the network with these zeros; layers without a constraint keep all weights."""
        total = self.fixed
        for name, costs in self.layers.items():
            constraint = constraints.get(name)
            if constraint is None:
                total += costs.dense
            else:
                total += costs.at(constraint.pattern.name, constraint.total / constraint.shapes[0].numel())
        return total

    @property
    def dense(self) -> float:
        """Cost with all weights."""
        return self.predicted({})

    def least(self, density: float) -> float:
        """Cost with every layer in its cheapest form at a density."""
        return self.fixed + sum(
            min(costs.at(structure, density) for structure in costs.blocks) for costs in self.layers.values()
        )


def int8_format(target: Target) -> QuantisedDecide:
    """Rule that stores each int8 layer in the form that costs the target least; of costs alike, in the fewest bytes."""
    rates = load_int8_rates(target.name)

    def decide(layer: QuantisedCandidate) -> QuantisedDecision:
        taps = layer.kernel[0] * layer.kernel[1]
        outputs = layer.out_channels * layer.out_pixels
        if layer.op == "QDepthwiseConv":
            cost = rates.depthwise_layer(outputs * taps, outputs, layer.stride)
            theirs = rates.onnxruntime_layer("depthwise", outputs * taps, outputs)
            return QuantisedDecision(
                "dense", f"a depthwise layer keeps all weights; {_told(cost, rates)}", cost, theirs
            )
        macs = layer.in_channels * taps * outputs
        gathered = gathered_inputs(layer.in_channels, layer.kernel, layer.stride, layer.out_pixels)
        costs: dict[Literal["dense", "1x4", "2x4"], float] = {"dense": rates.layer("dense", macs, outputs, gathered)}
        padded = -(-layer.in_channels // _GROUP) * _GROUP * taps * outputs
        for form, share in layer.blocks.items():
            costs[form] = rates.layer(form, round(share * padded), outputs, gathered)
        within = [form for form, cost in costs.items() if cost <= _ALIKE * min(costs.values())]
        best = min(within, key=lambda form: (stored_share(layer, form), costs[form]))
        others = ", ".join(f"{form} {short(cost)}" for form, cost in costs.items() if form != best)
        beside = f" ({others})" if layer.sparsity >= _TOLD else ""
        groups = f" in {layer.groups} groups" if layer.groups > 1 else ""
        zeros = f"{layer.sparsity:.0%} zeros{groups}"
        reason = f"{zeros}: {best} takes {_told(costs[best], rates)}{beside} on {target.name}"
        # It multiplies group by group, which takes it about as long as one group of all channels does.
        theirs = rates.onnxruntime_layer("dense", macs, outputs)
        if theirs < math.inf:
            reason += f", {_told(theirs, rates)} in ONNX Runtime"
        return QuantisedDecision(best, reason, costs[best], theirs)

    return decide


def _told(cost: float, rates: Int8Rates) -> str:
    return f"{short(cost)} {rates.unit}"
