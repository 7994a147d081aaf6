"""Predicted cost of an int8 network on a target: each step's from the target's table of rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from chita_edge.quantization.moments import position_count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chita_edge.quantization.graph import Graph, Step
    from runtimes.int8_costs import Int8Rates


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

    def network(self, graph: Graph, image: torch.Tensor, kept: Mapping[str, int], structure: str) -> float:
        """Cost of one image, each layer in the cheaper form.

        Args:
            graph: the steps.
            image: one, float32 (1, …), for the sizes.
            kept: weights that layers keep, by name; the others keep all.
            structure: of the zeros.
        """
        total = 0.0
        with torch.no_grad():
            for step, inputs, value in graph.walk(image):
                if step.layer is None:
                    total += self.rates.elements(value.numel())
                else:
                    total += min(self.layer(step, inputs[0], kept.get(step.name), structure))
        return total

    def layer(self, step: Step, inputs: torch.Tensor, kept: int | None, structure: str) -> tuple[float, float]:
        """Cost of a layer in blocks and with all its weights; infinite in blocks where none may go."""
        layer, positions = step.weights, position_count(step.weights, inputs)
        outputs = len(layer.weight) * positions
        if layer.groups > 1:
            return float("inf"), self.rates.depthwise_layer(layer.weight.numel() * positions, outputs)
        dense = self.rates.layer("dense", layer.weight.numel() * positions, outputs)
        blocks = float("inf") if kept is None else self.rates.layer(structure, kept * positions, outputs)
        return blocks, dense
