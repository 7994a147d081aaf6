"""Network of integers: weights, biases, scales and zero points, and its forward pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from chita_edge.network.inputs import batch_of
from chita_edge.quantization.arithmetic import (
    accumulate,
    add_codes,
    average_codes,
    concat_codes,
    max_codes,
    multiplier,
    multiply_codes,
    per_channel,
    requantise,
    table_codes,
)
from chita_edge.quantization.graph import REAL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from chita_edge.network.inputs import Batch
    from chita_edge.quantization.graph import Graph, Step
    from chita_edge.quantization.grid import Grid

_BATCH = 100


@dataclass(frozen=True)
class QuantisedLayer:
    """Integers of one layer.

    Attributes:
        weight: q_w, int8, in the layer's shape.
        scale: s_w > 0, float32 (out,); w = s_w q_w.
        bias: int32 (out,), in units of s_x s_w.
        mask: bool, in the layer's shape; False where pruning has put a zero.
    """

    weight: torch.Tensor
    scale: torch.Tensor
    bias: torch.Tensor
    mask: torch.Tensor

    @property
    def bits(self) -> int:
        """Of the weights: as many as the largest code needs, which rounding puts into every row."""
        return max(2, int(self.weight.int().abs().max()).bit_length() + 1)

    @property
    def real_weight(self) -> torch.Tensor:
        """s_w q_w, float32."""
        return self.weight.float() * self.scale.view(-1, *[1] * (self.weight.dim() - 1))


@dataclass(frozen=True)
class QuantisedNetwork:
    """A network whose layers hold integers.

    Attributes:
        graph: the steps; weights and biases there are the integers', in floating point.
        layers: by the name of their step.
        grids: of each step's output. Float steps have none, nor has a linear layer that they alone read, or that gives
            the network's output: these stay real.
    """

    graph: Graph
    layers: Mapping[str, QuantisedLayer]
    grids: Mapping[str, Grid]

    def input_grid(self, name: str) -> Grid:
        """The grid of what a layer reads."""
        return self.grids[self.graph[name].inputs[0]]

    def multiplier(self, name: str) -> torch.Tensor:
        """s[m] = (s_x s_w[m]) / s_y of a layer, float32 (out,); s_x s_w[m] where the output stays floating point."""
        return output_factor(self.layers[name].scale, self.input_grid(name), self.grids.get(name))

    def walk(
        self, images: Batch, given: Mapping[str, torch.Tensor] | None = None
    ) -> Iterator[tuple[Step, torch.Tensor]]:
        """Each step and its output: codes as float32, real numbers of steps without a grid.

        Args:
            images: what the network takes.
            given: outputs of float steps, as another runtime computed them, to go on from in place of torch's.
        """
        values: dict[str, torch.Tensor] = {}
        last = self.graph.last_uses()
        for step in self.graph.steps:
            inputs = tuple(values[name] for name in step.inputs) or (step.taken(images),)
            layer = self.layers.get(step.name)
            weights = None if layer is None else (layer.weight.float(), layer.bias.double(), layer.scale)
            known = None if given is None else given.get(step.name)
            values[step.name] = step_codes(step, inputs, self.grids, weights) if known is None else known
            yield step, values[step.name]
            for name in last[step.name]:
                del values[name]

    def __call__(self, *given: Batch, **named: torch.Tensor) -> torch.Tensor:
        """The network's output as real numbers, float32, for a batch, or for several inputs by position or name."""
        images = batch_of(given, named)
        parts = []
        with torch.inference_mode():
            for batch in images.split(_BATCH):
                value = next(value for step, value in self.walk(batch) if step.name == self.graph.output)
                grid = self.grids.get(self.graph.output)
                parts.append(value if grid is None else grid.dequantise(value))
        return torch.cat(parts)


def output_factor(scale: torch.Tensor, grid: Grid, out: Grid | None) -> torch.Tensor:
    """Factor of an accumulator."""
    return scale * grid.scale if out is None else multiplier(grid.scale, scale, out.scale)


def step_codes(
    step: Step,
    inputs: tuple[torch.Tensor, ...],
    grids: Mapping[str, Grid],
    weights: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = None,
) -> torch.Tensor:
    """The output of one step in codes; that of a step without a grid in real numbers.

    Args:
        step: what to do.
        inputs: codes, or real numbers of steps without a grid; the images of the input step.
        grids: of the steps' outputs.
        weights: of a layer: q_w, bias and s_w.
    """
    out = grids.get(step.name)
    if step.op == "layer":
        assert weights is not None  # noqa: S101 (the caller has them)
        weight, bias, scale = weights
        grid = grids[step.inputs[0]]
        sums = accumulate(step.weights, inputs[0], grid, weight, bias)
        scaled = sums * per_channel(output_factor(scale, grid, out), sums)
        return step.clip(scaled) if out is None else requantise(scaled, out, step.clip)
    if step.op in REAL:
        pairs = zip(step.inputs or ("",), inputs, strict=True)
        return step(*(grids[name].dequantise(value) if name in grids else value for name, value in pairs))
    assert out is not None  # noqa: S101 (no other op may have none)
    if step.op == "quantise":
        return requantise(step.reshaped(inputs[0]) / out.scale, out)
    known = [grids[name] for name in step.inputs]
    if step.op == "input":
        return out.quantise(step.reshaped(inputs[0]))
    if step.op == "add":
        return add_codes(step, inputs, known, out)
    if step.op == "multiply":
        return multiply_codes(inputs, known, out)
    if step.op == "concat":
        return concat_codes(inputs, known, out)
    if step.op == "average_pool":
        return average_codes(step.window, inputs[0], known[0], out)
    if step.op == "max_pool":
        return max_codes(step.window, inputs[0])
    if step.op == "table":
        return table_codes(step.looked_up, inputs[0], known[0], out)
    return step.reshaped(inputs[0])
