"""Prune and round a network together, layer by layer, from its first to its last."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from chita_edge.progress import Progress, silent
from chita_edge.pruning import Constraint, get_pattern
from chita_edge.quantization.bits import share_bits
from chita_edge.quantization.errors import QuantizationError
from chita_edge.quantization.graph import REAL, Clip, Graph, Layer, Step
from chita_edge.quantization.moments import draw_positions, position_outputs, position_rows, positions_of_image
from chita_edge.quantization.network import QuantisedLayer, QuantisedNetwork, output_factor, step_codes
from chita_edge.quantization.plan import Plan, layer_constraints, prepare
from chita_edge.quantization.ranges import find_grid
from chita_edge.quantization.refit import Refitted, refit
from chita_edge.quantization.rounding import round_nearest, round_with_gram, row_scales
from chita_edge.quantization.samples import Samples
from chita_edge.quantization.shared_grids import concat_grids

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import nn

    from chita_edge.network.inputs import Batch
    from chita_edge.quantization.config import CompressionConfig
    from chita_edge.quantization.grid import Grid

_BATCH = 100
_SAME_GRID = ("max_pool", "flatten", "series")  # their outputs are among their inputs
_LARGEST_SUM = 2**31 - 1
_FEW = 0.1
"""The ridge is larger by so much of the columns a position, since moments of few positions are less certain."""


@dataclass(frozen=True)
class Compressed:
    """A compressed network.

    Attributes:
        graph: in floating point, with the compressed weights.
        masks: by layer, in its shape; False where pruning has put a zero.
        network: its integers; None of dtype float32.
    """

    graph: Graph
    masks: Mapping[str, torch.Tensor]
    network: QuantisedNetwork | None

    def __call__(self, images: Batch) -> torch.Tensor:
        """The network's output, computed in integers where there are some."""
        if self.network is not None:
            return self.network(images)
        with torch.inference_mode():
            return torch.cat([self.graph(batch) for batch in images.split(_BATCH)])


def compress(
    model: nn.Module,
    images: Batch,
    config: CompressionConfig,
    *,
    prunable: Sequence[str] | None = None,
    progress: Progress = silent,
) -> Compressed:
    """Prune and quantise a trained network with unlabelled images; `prepare`, then `compress_plan`."""
    return compress_plan(prepare(model, images, config, prunable), images, config, progress=progress)


def compress_plan(
    plan: Plan,
    images: Batch,
    config: CompressionConfig,
    *,
    masks: Mapping[str, torch.Tensor] | None = None,
    constraints: Mapping[str, Constraint] | None = None,
    progress: Progress = silent,
) -> Compressed:
    """Compress each layer to give the dense network's outputs from what the compressed layers before it hand on.

    In the order of the network: the moments of the layer's inputs in both networks; the support and its weights, or all
    weights where none may go; scales and rounding; the bias that keeps the mean of each output, on the integer grid;
    the range of the output. All images' inputs of the current steps are held in memory, float32 of the dense network
    and uint8 of the compressed one.

    Args:
        plan: from `prepare`.
        images: calibration images.
        config: options.
        masks: of the layers that lose weights, to start the search from, in place of the plan's budgets; those of other
            layers are not looked at.
        constraints: patterns and budgets of the layers that lose weights, in place of those that `layer_constraints`
            finds.
        progress: called with stage "compress".

    Raises:
        QuantizationError: values that are not finite, or a layer whose sums could pass 32 bits.
    """
    pattern = get_pattern(config.structure)
    if masks is not None:
        masks = {name: mask for name, mask in masks.items() if name in plan.prunable}
        constraints = {name: Constraint(pattern, (mask.shape,), (int(mask.sum()),)) for name, mask in masks.items()}
    elif constraints is None:
        constraints = layer_constraints(plan, config)
    with torch.no_grad():
        return _Pass(plan, images, config, constraints, masks or {}).run(progress)


class _Pass:
    """The networks up to the current step."""

    def __init__(
        self,
        plan: Plan,
        images: Batch,
        config: CompressionConfig,
        constraints: Mapping[str, Constraint],
        starts: Mapping[str, torch.Tensor],
    ) -> None:
        self.graph, self.images, self.config = plan.graph, images, config
        self.constraints, self.starts, self.importance = constraints, starts, plan.importance
        self.integers = config.dtype == "int8"
        self.bits = share_bits(plan, config, constraints)
        self.has_sums = any(step.op == "add" for step in plan.graph.steps)
        self.dense: dict[str, torch.Tensor] = {}
        self.values: dict[str, torch.Tensor] = {}  # of the compressed network: codes, or real numbers of float32
        self.grids: dict[str, Grid] = {}
        self.layers: dict[str, QuantisedLayer] = {}
        self.real: dict[str, Layer] = {}
        self.masks: dict[str, torch.Tensor] = {}
        self.shared = concat_grids(plan.graph, images, config) if self.integers else {}

    def run(self, progress: Progress) -> Compressed:
        last = self.graph.last_uses()
        progress("compress", 0, len(self.graph.steps))
        for number, step in enumerate(self.graph.steps):
            if step.op == "input":
                self._finish(step, lambda batch, step=step: step(step.taken(self.images[batch])))  # type: ignore[misc]
            elif step.layer is not None:
                self._layer(step)
            elif step.op in REAL:
                self._advance(step)
            elif step.op in _SAME_GRID and self.integers:
                self.grids[step.name] = self.grids[step.inputs[0]]
                self._advance(step)
            else:
                self._finish(step, lambda batch, step=step: step(*self._real_inputs(step, batch)))  # type: ignore[misc]
            self._advance_dense(step)
            for name in last[step.name]:
                self.dense.pop(name)
                self.values.pop(name, None)
            progress("compress", number + 1, len(self.graph.steps))
        graph = self.graph.with_layers(self.real)
        network = QuantisedNetwork(graph, self.layers, self.grids) if self.integers else None
        return Compressed(graph, self.masks, network)

    def _layer(self, step: Step) -> None:
        layer, config = step.weights, self.config
        samples, clip = self._samples(step)
        if not bool(torch.isfinite(samples.gram).all() and torch.isfinite(samples.wanted).all()):
            raise QuantizationError(f"The values of {step.name} are not finite for the calibration images.")
        importance = self.importance.get(step.name)
        if importance is not None and self.has_sums:
            # It overlooks what errors of several outputs do together, and sums hand them on from block to block:
            # halfway to outputs that count alike.
            importance = importance.sqrt()
        found = refit(
            layer,
            samples,
            config.ridge + _FEW * samples.inputs.shape[2] / samples.inputs.shape[1],
            clip,
            self.constraints.get(step.name),
            self.starts.get(step.name),
            importance=importance,
            search=config.search,
            rounds=config.activation_rounds,
        )
        self.masks[step.name] = found.mask.view(layer.weight.shape)
        if self.integers:
            self._round(step, samples, found)
            return
        bias = found.bias(samples, found.weights).float()
        new = replace(layer, weight=found.weights.view(layer.weight.shape), bias=bias)
        self.real[step.name] = new
        self._advance(replace(step, layer=new))

    def _samples(self, step: Step) -> tuple[Samples, Clip]:
        """Inputs and wanted outputs of a layer, and the activation that follows it or the sum that it goes into.

        The dense network's outputs are kept on the way.
        """
        layer, source, config = step.weights, step.inputs[0], self.config
        each = positions_of_image(layer, len(self.images), config.rows)
        rng = torch.Generator().manual_seed(config.seed)
        total = self._sum_behind(step)
        other = None if total is None else next(name for name in total.inputs if name != step.name)
        inputs, wanted, beside = [], [], []
        answers = []
        for batch in self._batches():
            dense, x = self.dense[source][batch], self._real(source, batch)
            chosen = draw_positions(layer, x, each, rng)
            inputs.append(position_rows(layer, x, chosen))
            target = layer(dense)
            answers.append(step.clip(target))
            if other is not None:
                now = self._real(other, batch)
                target = target + self.dense[other][batch] - now
                beside.append(position_outputs(now, chosen))
            wanted.append(position_outputs(target, chosen))
        self.dense[step.name] = torch.cat(answers)
        samples = Samples(torch.cat(inputs, 1), torch.cat(wanted), torch.cat(beside) if beside else None)
        return samples, step.clip if total is None else total.clip

    def _sum_behind(self, step: Step) -> Step | None:
        """The sum that alone reads a layer's output, where its other part is known already."""
        readers = self.graph.readers(step.name)
        if len(readers) != 1 or readers[0].op != "add" or not step.clip.is_none or step.name == self.graph.output:
            return None
        others = [name for name in readers[0].inputs if name != step.name]
        return readers[0] if len(others) == 1 and others[0] in self.values else None

    def _round(self, step: Step, samples: Samples, found: Refitted) -> None:
        """Integers of a layer, and the grid of its output."""
        layer, config, shape = step.weights, self.config, step.weights.weight.shape
        input_grid, weights = self.grids[step.inputs[0]], found.weights
        bits = self.bits[step.name]
        scale = row_scales(weights, found.bias(samples, weights).float(), input_grid.scale, bits)
        if config.rounds_with_gram(bits) and layer.groups == 1:
            codes = round_with_gram(weights, scale, found.mask, samples.gram[0], bits=bits, ridge=config.ridge)
        else:
            codes = round_nearest(weights, scale, bits)
        unit = output_factor(scale, input_grid, None)
        bias = (found.bias(samples, codes * scale[:, None]) / unit.double()).round()
        if float((codes.abs().sum(1, dtype=torch.float64) * 255 + bias.abs()).max()) > _LARGEST_SUM:
            raise QuantizationError(f"The sums of {step.name} could pass 32 bits. Keep it in float32.")
        integers = QuantisedLayer(codes.to(torch.int8).view(shape), scale, bias.to(torch.int32), found.mask.view(shape))
        self.layers[step.name] = integers
        new = replace(layer, weight=integers.real_weight, bias=(bias * unit).float())
        self.real[step.name] = new
        real = replace(step, layer=new)
        if self.graph.stays_real(step):
            self._advance(step)
        else:
            self._finish(step, lambda batch: real(self._real(step.inputs[0], batch)))

    def _finish(self, step: Step, real: Callable[[slice], torch.Tensor]) -> None:
        """Choose the grid of a step's output from its real values, then compute its codes."""
        if self.integers:
            grid = self.shared.get(step.name) or self._moved_grid(step)
            if grid is None:
                grid = find_grid(self._sampled(real), self.config.activation_range, step.name)
            self.grids[step.name] = grid
        self._advance(step)

    def _moved_grid(self, step: Step) -> Grid | None:
        """The grid of codes that a float step only moves, so that they come back as they are."""
        source = self.graph[step.inputs[0]] if step.op == "quantise" else step
        grids = {self.grids.get(name) for name in source.inputs}
        return grids.pop() if source.op == "float" and not source.reasons and len(grids) == 1 else None

    def _sampled(self, real: Callable[[slice], torch.Tensor]) -> torch.Tensor:
        """The real values of a step's output for some of the images."""
        batches = self._batches()
        return torch.cat([real(batch).flatten() for batch in batches[:: max(1, len(batches) // 3)]])

    def _advance(self, step: Step) -> None:
        """The compressed network's output of a step, for all images."""
        parts = []
        integers = self.layers.get(step.name)
        weights = None if integers is None else (integers.weight.float(), integers.bias.double(), integers.scale)
        for batch in self._batches():
            if not self.integers:
                inputs = tuple(self.values[name][batch] for name in step.inputs) or (step.taken(self.images[batch]),)
                parts.append(step(*inputs))
                continue
            read = ((self.values[name][batch], name in self.grids) for name in step.inputs)
            inputs = tuple(values.float() if coded else values for values, coded in read)
            inputs = inputs or (step.taken(self.images[batch]),)
            codes = step_codes(step, inputs, self.grids, weights)
            parts.append(codes.to(torch.uint8) if step.name in self.grids else codes)
        self.values[step.name] = torch.cat(parts)

    def _advance_dense(self, step: Step) -> None:
        if not step.inputs:
            self.dense[step.name] = step(step.taken(self.images))
        if step.name in self.dense:
            return
        self.dense[step.name] = torch.cat(
            [step(*(self.dense[name][batch] for name in step.inputs)) for batch in self._batches()]
        )

    def _batches(self) -> list[slice]:
        count = len(self.images)
        return [slice(start, min(count, start + _BATCH)) for start in range(0, count, _BATCH)]

    def _real(self, name: str, batch: slice) -> torch.Tensor:
        values = self.values[name][batch]
        return self.grids[name].dequantise(values) if name in self.grids else values

    def _real_inputs(self, step: Step, batch: slice) -> list[torch.Tensor]:
        return [self._real(name, batch) for name in step.inputs]
