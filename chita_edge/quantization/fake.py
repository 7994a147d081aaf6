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

    from chita_edge.network.inputs import Batch
    from chita_edge.quantization.graph import Step

_LARGEST_BIAS = 2.0**30
_CODES = 32.0  # a bias counts in so many codes of the output
_LOGIT = 1.0  # and so much where that has no codes


class FakeQuantised(nn.Module):
    """A `QuantisedNetwork` with real weights and biases that can be trained.

    Each forward pass rounds them to the network's grids and computes on the integers, so that after every step its
    codes are those of the integer network that `to_network` returns, to the bit. The gradient of a rounding is that of
    the identity (straight-through: Bengio et al. 2013, arXiv 1308.3432), inside the bounds of the grid.

    Masks, weight scales and activation grids are fixed. What is trained has no unit, so that a step of Adam means the
    same in every channel, however equalisation has scaled it: a weight counts in the largest of its row, a bias in 32
    codes of its output.

    Weights keep the bits that they have: a layer's largest code stands in each of its rows.

    Args:
        network: integers to start from.
    """

    def __init__(self, network: QuantisedNetwork) -> None:
        super().__init__()
        self.network = network
        self.rows = {name: float(largest_code(layer.bits)) for name, layer in network.layers.items()}
        self.weights, self.biases = nn.ParameterDict(), nn.ParameterDict()
        for name, layer in network.layers.items():
            key = _key(name)
            self.weights[key] = nn.Parameter(layer.weight.float() / self.rows[name])
            # The way from the start, since a float32 bias does not hold each int32 exactly.
            self.biases[key] = nn.Parameter(torch.zeros(len(layer.bias)))

    def _unit(self, name: str) -> torch.Tensor:
        """s_x s_w of a layer, float64 (out,)."""
        scale = self.network.layers[name].scale
        return output_factor(scale, self.network.input_grid(name), None).double()

    def _bias_unit(self, name: str) -> torch.Tensor:
        """What a bias counts in, of s_x s_w, float64 (out,)."""
        grid = self.network.grids.get(name)
        return (_LOGIT if grid is None else _CODES * grid.scale) / self._unit(name)

    def integers(self, name: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """q_w in float32, b in float64 and s_w of a layer, with gradients."""
        layer, key = self.network.layers[name], _key(name)
        row = self.rows[name]
        top = row + 0.49  # a little beyond the last code, so that the largest weight of a row is not stuck at the clamp
        codes = round_through((self.weights[key] * row).clamp(-top, top)) * layer.mask
        moved = layer.bias.double() + self.biases[key].double() * self._bias_unit(name)
        return codes, round_through(moved.clamp(-_LARGEST_BIAS, _LARGEST_BIAS)), layer.scale

    def walk(self, images: Batch) -> Iterator[tuple[Step, torch.Tensor]]:
        """Each step and its output: codes as float32, real numbers of steps without a grid."""
        values: dict[str, torch.Tensor] = {}
        last = self.network.graph.last_uses()
        for step in self.network.graph.steps:
            inputs = tuple(values[name] for name in step.inputs) or (step.taken(images),)
            weights = self.integers(step.name) if step.layer is not None else None
            values[step.name] = step_codes(step, inputs, self.network.grids, weights)
            yield step, values[step.name]
            for name in last[step.name]:
                del values[name]

    def forward(self, images: Batch) -> torch.Tensor:
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
