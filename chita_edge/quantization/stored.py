"""An integer network, or the curves of a plan, as plain tensors that can be kept, and back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from chita_edge.quantization.budgets import Curve
from chita_edge.quantization.grid import Grid
from chita_edge.quantization.network import QuantisedLayer, QuantisedNetwork, output_factor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chita_edge.quantization.graph import Graph

    Tensors = dict[str, torch.Tensor]

_PARTS = ("weight", "scale", "bias", "mask")


def network_tensors(network: QuantisedNetwork) -> Tensors:
    """All that the graph of its steps does not hold: integers and scales of layers, and grids."""
    tensors = {f"{name}/{part}": getattr(layer, part) for name, layer in network.layers.items() for part in _PARTS}
    grids = {f"{name}/grid": torch.tensor([g.scale, g.zero], dtype=torch.float64) for name, g in network.grids.items()}
    return tensors | grids


def network_from(graph: Graph, tensors: Mapping[str, torch.Tensor]) -> QuantisedNetwork:
    """The network of `network_tensors`, whose graph this is but for its weights."""
    layers = {name: QuantisedLayer(**{part: tensors[f"{name}/{part}"] for part in _PARTS}) for name in graph.layers}
    grids = {}
    for step in graph.steps:
        if f"{step.name}/grid" in tensors:
            scale, zero = tensors[f"{step.name}/grid"].tolist()
            grids[step.name] = Grid(scale, int(zero))
    real = {}
    for name, layer in layers.items():
        unit = output_factor(layer.scale, grids[graph[name].inputs[0]], None)
        bias = (layer.bias.double() * unit).float()
        real[name] = replace(graph.layers[name], weight=layer.real_weight, bias=bias)
    return QuantisedNetwork(graph.with_layers(real), layers, grids)


def curve_tensors(curves: Mapping[str, Mapping[str, Curve]], importance: Mapping[str, torch.Tensor]) -> Tensors:
    """The curves by structure and layer, one tensor each, and the importance of the layers' outputs."""
    measured = {
        f"{structure}/{name}": torch.tensor(
            [curve.sensitivity, curve.weights, curve.multiplications, curve.rounding, *curve.errors],
            dtype=torch.float64,
        )
        for structure, of_layers in curves.items()
        for name, curve in of_layers.items()
    }
    return measured | {f"importance/{name}": values for name, values in importance.items()}


def curves_from(
    tensors: Mapping[str, torch.Tensor], structures: Sequence[str], names: tuple[str, ...]
) -> tuple[dict[str, dict[str, Curve]], Tensors]:
    """The curves and importances of `curve_tensors`, in the order of these structures and names."""
    found: dict[str, dict[str, Curve]] = {structure: {} for structure in structures}
    for structure in structures:
        for name in names:
            sensitivity, weights, multiplications, rounding, *errors = tensors[f"{structure}/{name}"].tolist()
            found[structure][name] = Curve(tuple(errors), sensitivity, int(weights), int(multiplications), rounding)
    return found, {name: tensors[f"importance/{name}"] for name in names}
