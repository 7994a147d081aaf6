"""Cross-layer equalisation: channels between two layers rescaled so that none is large or small by scale alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Collection

    from chita_edge.network.inputs import Batch
    from chita_edge.quantization.graph import Graph, Layer, Step

_BATCH = 100
_MARGIN = 0.9  # of a clip's bound; a channel that stays below on the calibration images is taken never to reach it
_LARGEST_FACTOR = 2.0**20
_PASSING = ("average_pool", "max_pool", "flatten")


def equalise(graph: Graph, images: Batch) -> Graph:
    """The same function with each inner channel x scaled by f = √(max|W₂ column| / max|x|), and W₂ by 1 / f.

    Then x reaches as far as the weights that read it (Nagel et al. 2019, arXiv 1906.04721, section 4.1, with the range
    of the activation in place of that of the weights that make it). Selection by magnitude, and a grid that a whole
    tensor shares, need channels of one scale. Pairs go from the network's end to its start, so that what a layer reads
    is scaled before what it writes, and the result does not depend on how channels were scaled before.

    A channel is scaled where only layers read it, directly or through pooling. ReLU commutes with scaling; an
    activation with an upper bound, as ReLU6, does where the bound is not reached: channels that come near it on the
    images stay as they are, and others are scaled to at most 0.9 of it.

    Args:
        graph: a network.
        images: calibration images, for the ranges of the channels.
    """
    layers = dict(graph.layers)
    for pair in equalising_factors(graph, images):
        _scale(layers, pair)
    return graph.with_layers(layers)


@dataclass(frozen=True)
class ScaledChannels:
    """Channels between layers, and how the same function has them of one scale.

    Attributes:
        writer: name of the layer's step that writes them.
        readers: names of the layers that read them.
        factor: f, by which the writer's weights and bias are multiplied and the readers' weights divided, (channels,).
    """

    writer: str
    readers: tuple[str, ...]
    factor: torch.Tensor


def equalising_factors(
    graph: Graph,
    images: Batch,
    *,
    fixed_outputs: Collection[str] = (),
    fixed_inputs: Collection[str] = (),
) -> list[ScaledChannels]:
    """What `equalise` multiplies by, from the network's end to its start.

    Args:
        graph: a network.
        images: calibration images, float32 (n, …).
        fixed_outputs: layers whose output channels stay as they are.
        fixed_inputs: layers whose input channels do.
    """
    largest = _largest_values(graph, images)
    layers, found = dict(graph.layers), []
    for step in reversed(graph.steps):
        readers = _reading_layers(graph, step.name, len(layers[step.name].bias)) if step.layer is not None else None
        if not readers or step.clip.low not in (0.0, -math.inf):
            continue
        if step.name in fixed_outputs or any(name in fixed_inputs for name in readers):
            continue
        columns = torch.stack([_columns(layers[name]) for name in readers]).amax(0)
        found.append(ScaledChannels(step.name, tuple(readers), _factors(columns, largest[step.name], step.clip.high)))
        _scale(layers, found[-1])
    return found


def _scale(layers: dict[str, Layer], channels: ScaledChannels) -> None:
    layers[channels.writer] = _scaled_outputs(layers[channels.writer], channels.factor)
    for name in channels.readers:
        weight = scaled_columns(layers[name].weight, layers[name].groups, 1 / channels.factor)
        layers[name] = replace(layers[name], weight=weight)


def _factors(columns: torch.Tensor, reach: torch.Tensor, bound: float) -> torch.Tensor:
    """F of each channel; their geometric mean is 1, so that only channels of one tensor are made alike."""
    usable = (reach > 0) & (columns > 0)
    factor = (columns / reach).sqrt()
    if bool(usable.any()):
        factor = factor / factor[usable].log().mean().exp()
    if bound < math.inf:
        bound *= _MARGIN
        factor = torch.where(reach < bound, torch.minimum(factor, bound / reach), 1.0)
    return torch.where(usable, factor.clamp(1 / _LARGEST_FACTOR, _LARGEST_FACTOR), 1.0)


def _largest_values(graph: Graph, images: Batch) -> dict[str, torch.Tensor]:
    """max|x| of each channel that a layer writes, activation included, (channels,)."""
    largest: dict[str, torch.Tensor] = {}
    with torch.no_grad():
        for batch in images.split(_BATCH):
            for step, _, value in graph.walk(batch):
                if step.layer is None:
                    continue
                # The channel is axis 1 of images and the last of a linear layer's output.
                moved = value if step.layer.is_convolution else value.movedim(-1, 1)
                found = moved.abs().transpose(0, 1).flatten(1).amax(1)
                largest[step.name] = torch.maximum(largest.get(step.name, found), found)
    return largest


def _reading_layers(graph: Graph, name: str, channels: int) -> list[str] | None:
    """The layers that read a step's channels; None where something else does, or nothing, or the network's user."""
    if name == graph.output:
        return None
    found: list[str] = []
    for reader in graph.readers(name):
        if reader.layer is not None:
            if _input_channels(reader) != channels:
                return None
            found.append(reader.name)
        elif reader.op in _PASSING:
            behind = _reading_layers(graph, reader.name, channels)
            if behind is None:
                return None
            found += behind
        else:
            return None
    return found or None


def _input_channels(step: Step) -> int:
    return step.weights.weight.shape[1] * step.weights.groups


def _columns(layer: Layer) -> torch.Tensor:
    """max|w| of the weights that read each input channel, (channels,)."""
    weight = layer.weight
    grouped = weight.reshape(layer.groups, len(weight) // layer.groups, weight.shape[1], -1)
    return grouped.abs().amax((1, 3)).flatten()


def _scaled_outputs(layer: Layer, factor: torch.Tensor) -> Layer:
    return replace(
        layer, weight=layer.weight * factor.view(-1, *[1] * (layer.weight.dim() - 1)), bias=layer.bias * factor
    )


def scaled_columns(weight: torch.Tensor, groups: int, factor: torch.Tensor) -> torch.Tensor:
    """A layer's weights, (out, in / groups, …), with those that read an input channel times its factor, (in,)."""
    grouped = weight.reshape(groups, len(weight) // groups, weight.shape[1], -1)
    return (grouped * factor.view(groups, 1, weight.shape[1], 1)).reshape(weight.shape)
