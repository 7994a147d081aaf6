"""Fake-quantised network: trainable weights in front of the same integer arithmetic, gradients straight through."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from chita_edge.quantization.arithmetic import round_through
from chita_edge.quantization.network import QuantisedLayer, QuantisedNetwork, output_factor, step_codes
from chita_edge.quantization.rounding import largest_code

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chita_edge.quantization.graph import Step

_LARGEST_BIAS = 2.0**30


class FakeQuantised(nn.Module):
    """A `QuantisedNetwork` with real weights and biases that can be trained.

    Each forward pass rounds them to the network's grids and computes on the integers, so that after every step its
    codes are those of the integer network that `to_network` returns, to the bit. The gradient of a rounding is that of
    the identity (straight-through: Bengio et al. 2013, arXiv 1308.3432), inside the bounds of the grid.

    Masks, weight scales and activation grids are fixed.

    Args:
        network: integers to start from.
        bits: of the weights.
    """

    def __init__(self, network: QuantisedNetwork, bits: int = 8) -> None:
        super().__init__()
        self.network = network
        # A little beyond the last code, so that the largest weight of a row is not stuck at the clamp.
        self.top = largest_code(bits) + 0.49
        self.weights, self.biases = nn.ParameterDict(), nn.ParameterDict()
        for name, layer in network.layers.items():
            key = _key(name)
            self.weights[key] = nn.Parameter(layer.real_weight)
            self.biases[key] = nn.Parameter((layer.bias.double() * self._unit(name)).float())
            # Kept as integers, since a float32 bias does not hold each int32 exactly.
            self.register_buffer(f"start_bias_{key}", layer.bias.double(), persistent=False)
            self.register_buffer(f"start_{key}", self.biases[key].detach().clone(), persistent=False)

    def _unit(self, name: str) -> torch.Tensor:
        """s_x s_w of a layer, float64 (out,)."""
        scale = self.network.layers[name].scale
        return output_factor(scale, self.network.input_grid(name), None).double()

    def integers(self, name: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """q_w in float32, b in float64 and s_w of a layer, with gradients."""
        layer, key = self.network.layers[name], _key(name)
        scale = layer.scale.view(-1, *[1] * (layer.weight.dim() - 1))
        codes = round_through((self.weights[key] / scale).clamp(-self.top, self.top)) * layer.mask
        moved = (self.biases[key] - self.get_buffer(f"start_{key}")).double() / self._unit(name)
        bias = round_through((self.get_buffer(f"start_bias_{key}") + moved).clamp(-_LARGEST_BIAS, _LARGEST_BIAS))
        return codes, bias, layer.scale

    def walk(self, images: torch.Tensor) -> Iterator[tuple[Step, torch.Tensor]]:
        """Each step and its output: codes as float32, real numbers of a last layer."""
        values: dict[str, torch.Tensor] = {}
        last = self.network.graph.last_uses()
        for step in self.network.graph.steps:
            inputs = tuple(values[name] for name in step.inputs) or (images,)
            weights = self.integers(step.name) if step.layer is not None else None
            values[step.name] = step_codes(step, inputs, self.network.grids, weights)
            yield step, values[step.name]
            for name in last[step.name]:
                del values[name]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The network's output as real numbers."""
        output = self.network.graph.output
        value = next(value for step, value in self.walk(images) if step.name == output)
        grid = self.network.grids.get(output)
        return value if grid is None else grid.dequantise(value)

    def to_network(self) -> QuantisedNetwork:
        """The integers as they are now."""
        layers, real = {}, {}
        with torch.no_grad():
            for name, old in self.network.layers.items():
                codes, bias, _ = self.integers(name)
                new = QuantisedLayer(codes.to(torch.int8), old.scale, bias.to(torch.int32), old.mask)
                layers[name] = new
                geometry = self.network.graph.layers[name]
                real[name] = replace(geometry, weight=new.real_weight, bias=(bias * self._unit(name)).float())
        return QuantisedNetwork(self.network.graph.with_layers(real), layers, self.network.grids)


def _key(name: str) -> str:
    """A module's name as a parameter's."""
    return name.replace(".", "/")
