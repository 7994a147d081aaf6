"""Plan of a compression: the folded network, the prunable layers, and the budget of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from chita_edge.network.inputs import input_tensors
from chita_edge.pruning import Constraint, get_pattern
from chita_edge.pruning.journal import FORGETFUL, Journal
from chita_edge.quantization.budgets import BY_COST, BY_WEIGHTS, Curve, measure_curves, share_budget
from chita_edge.quantization.curvature import fisher
from chita_edge.quantization.equalise import equalise
from chita_edge.quantization.errors import QuantizationError, QuantizationOptionError, UnsupportedNetworkError
from chita_edge.quantization.float_parts import float_parameters, integer_share, listed
from chita_edge.quantization.moments import position_count
from chita_edge.quantization.stored import curve_tensors, curves_from
from chita_edge.quantization.trace import trace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import nn

    from chita_edge.network.inputs import Batch
    from chita_edge.quantization.config import CompressionConfig
    from chita_edge.quantization.graph import Graph

_EXAMPLES = 2


@dataclass(frozen=True)
class Plan:
    """A network that is ready to be compressed, at any sparsity.

    Attributes:
        graph: batch norm folded, channels equalised; the dense network's function.
        prunable: names of the layers that may lose weights.
        curves: what those layers lose at each density, by structure of the zeros and name.
        importance: of the outputs of those layers, E Σ (∂ℓ/∂y)² as in `Curvature`, by name: which outputs the
            weights that a layer keeps are for.
        fixed_multiplications: of the layers that may lose none, for one image.
    """

    graph: Graph
    prunable: tuple[str, ...]
    curves: Mapping[str, Mapping[str, Curve]]
    importance: Mapping[str, torch.Tensor]
    fixed_multiplications: int


def prepare(
    model: nn.Module,
    images: Batch,
    config: CompressionConfig,
    prunable: Sequence[str] | None = None,
    *,
    structures: Sequence[str] = (),
    least_share: float = 0.0,
    journal: Journal = FORGETFUL,
) -> Plan:
    """Trace, fold, equalise, and measure the curvature of the layers.

    Args:
        model: a trained network; evaluation mode is assumed, whatever its flags say.
        images: calibration images, float32 (n, …).
        config: options.
        prunable: names of layers, with or without ``.weight``; all without groups but those that read the images and
            those that give the network's output, when None. Weights of float steps are left out.
        structures: of the zeros that there may be; that of the options when empty.
        least_share: of the network's multiplications, that has to have an integer form.
        journal: keeps the curves, which take most of the time.

    Raises:
        UnsupportedNetworkError: too little of the network has an integer form.
        QuantizationError: no images, or values that are not finite.
        QuantizationOptionError: a name is no layer without groups.
    """
    if not len(images):
        raise QuantizationError("There are no calibration images; ranges and moments need some.")
    if not all(bool(torch.isfinite(one).all()) for one in input_tensors(images) if one.is_floating_point()):
        raise QuantizationError("A calibration image holds NaN or infinity.")
    graph = trace(model, images[:_EXAMPLES])
    for name, layer in graph.layers.items():
        if not bool(torch.isfinite(layer.weight).all() and torch.isfinite(layer.bias).all()):
            raise QuantizationError(f"The weights of {name}, batch norm folded, are not finite.")
    if config.equalise:
        graph = equalise(graph, images)
    if not graph.layers:
        raise UnsupportedNetworkError("No layer of the network has an integer form. Keep the network in float32.")
    share = integer_share(graph, images[:_EXAMPLES])
    if share < least_share:
        raise UnsupportedNetworkError(
            f"Only {share:.0%} of the network's multiplications have an integer form; float32 stays "
            f"{listed(graph.floats)}. --dtype int8 makes integers of the others."
        )
    names = default_prunable(graph) if prunable is None else tuple(n.removesuffix(".weight") for n in prunable)
    names = tuple(name for name in names if name in graph.layers or name not in float_parameters(graph))
    for name in names:
        if name not in graph.layers or graph.layers[name].groups != 1:
            raise QuantizationOptionError(f"{name} is no layer without groups of this network, so it cannot be pruned.")
    some = images[: config.curvature_images]
    structures = tuple(structures) or (config.structure,)
    curves: Mapping[str, Mapping[str, Curve]] = {structure: {} for structure in structures}
    importance: Mapping[str, torch.Tensor] = {}
    if names:

        def measured() -> dict[str, torch.Tensor]:
            curvatures = fisher(graph, some, names, seed=config.seed)
            patterns = {structure: get_pattern(structure) for structure in structures}
            found = measure_curves(graph, some, names, patterns, curvatures, rows=config.rows // 2, ridge=config.ridge)
            return curve_tensors(found, {name: curvature.outputs for name, curvature in curvatures.items()})

        curves, importance = curves_from(journal.remember("curves", measured), structures, names)
    return Plan(graph, names, curves, importance, _fixed_multiplications(graph, images[:1], names))


def _fixed_multiplications(graph: Graph, image: Batch, names: tuple[str, ...]) -> int:
    """Of the other layers, for one image."""
    with torch.no_grad():
        return sum(
            step.layer.weight.numel() * position_count(step.layer, inputs[0])
            for step, inputs, _ in graph.walk(image)
            if step.layer is not None and step.name not in names
        )


def default_prunable(graph: Graph) -> tuple[str, ...]:
    """Layers without groups, except those that read the images and those that give the output."""
    return tuple(
        step.name
        for step in graph.steps
        if step.layer is not None
        and step.layer.groups == 1
        and not _is_of_input(graph, step.inputs[0])
        and not _gives_output(graph, step.name)
    )


def _gives_output(graph: Graph, name: str) -> bool:
    """Whether a step gives the network's output, as series perhaps."""
    last = graph[graph.output]
    return name == last.name or (last.op in ("series", "float") and name in last.inputs)


def _is_of_input(graph: Graph, name: str) -> bool:
    """Whether a step gives the network's input, or what is made of it without a layer."""
    step = graph[name]
    if step.op in ("input", "given"):
        return True
    return step.op in ("table", "float", "quantise") and all(_is_of_input(graph, source) for source in step.inputs)


def layer_constraints(plan: Plan, config: CompressionConfig) -> dict[str, Constraint]:
    """Pattern and budget of each prunable layer, as `share_budget` says; none where nothing is to go.

    Raises:
        InfeasibleBudgetError: the budget leaves too little.
    """
    if not config.sparsity or not plan.prunable:
        return {}
    curves = [plan.curves[config.structure][name] for name in plan.prunable]
    share = 1 - config.sparsity
    if config.budget == "weights":
        costs, exponents = [curve.weights for curve in curves], BY_WEIGHTS
        allowed = share * sum(costs)
    else:
        costs, exponents = [curve.multiplications for curve in curves], BY_COST
        allowed = share * (sum(costs) + plan.fixed_multiplications) - plan.fixed_multiplications
    pattern = get_pattern(config.structure)
    densities = share_budget(curves, costs, allowed, exponents=exponents)
    return {
        name: Constraint(pattern, (plan.graph.layers[name].weight.shape,), (int(density * curve.weights + 1e-6),))
        for name, density, curve in zip(plan.prunable, densities, curves, strict=True)
    }
