"""`convert`: an already pruned network into a pattern."""

from __future__ import annotations

import copy
import time
from typing import TYPE_CHECKING

import torch

from chita_edge.errors import UsageError
from chita_edge.layer_work import multiplications
from chita_edge.models.prunable import pointwise_and_linear
from chita_edge.progress import Progress, silent
from chita_edge.prune_channels import CHANNEL_STRUCTURES, prune_channels
from chita_edge.prune_config import PruneConfig
from chita_edge.prune_methods import get_method
from chita_edge.prune_result import LayerFigures, PruneFigures, PruneResult
from chita_edge.prune_stage import mean_curvature, stage_gradients, stage_images
from chita_edge.pruning import Constraint, Layer, LayerFacts, Problem, get_allocation, get_pattern
from chita_edge.pruning.conversion import convert as convert_weights
from chita_edge.reconstruction import reconstruct
from chita_edge.tuning import familiar_augmentation, recalibrated_if_closer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from chita_edge.datasets import LabelledImages


def convert(
    model: nn.Module,
    pruned: nn.Module,
    calibration: LabelledImages,
    config: PruneConfig | None = None,
    *,
    prunable: Sequence[str] | None = None,
    progress: Progress = silent,
) -> PruneResult:
    """Move a pruned network into the configuration's structure and sparsity, losing as little as it can.

    The quadratic stays the one around the dense network. Supports are searched for from the pruned network's own, see
    `chita_edge.pruning.conversion`; layers are then refitted and batch norm recalibrated as the method says. The trace
    begins with the objective of what projecting by magnitude would give. For whole filters and channels the pruned
    network is pruned further instead, as any other.

    Args:
        model: the dense network; not changed.
        pruned: the same architecture with zeros, pruned by any method; not changed.
        calibration: images as the network takes them, with labels.
        config: structure, sparsity and the rest; the method decides what follows the conversion.
        prunable: names of the weights that may become zero; the 1×1 convolutions' and linear layers' when None.
        progress: called with stages "gradients", "solve", and as the method needs "reconstruct" and "batch norm".

    Raises:
        ChitaEdgeError: an unknown name, a budget that cannot be met, a tensor that is not finite; distillation is
            asked for; or the two networks differ in shape.
    """
    config = config or PruneConfig()
    if config.distill_epochs:
        raise UsageError("A conversion does not distil. Convert first, then prune the result with distillation.")
    if config.structure in CHANNEL_STRUCTURES:
        return prune_channels(pruned, calibration, config, prunable=prunable, progress=progress)
    method, pattern = get_method(config.method), get_pattern(config.structure)
    names = tuple(pointwise_and_linear(model) if prunable is None else prunable)
    dense, converted = (copy.deepcopy(network).eval() for network in (model, pruned))
    weights, given = dict(dense.named_parameters()), dict(converted.named_parameters())
    for name in names:
        if name not in given or name not in weights or given[name].shape != weights[name].shape:
            raise UsageError(f"The pruned network and the dense one are not of the same kind: they differ in {name}.")
    seconds, started = {}, time.perf_counter()
    augmentation = familiar_augmentation(dense, calibration.images, seed=config.seed)
    gradients = stage_gradients(
        dense,
        calibration,
        names,
        config,
        0,
        slice(0, stage_images(calibration, config) // config.samples_per_row),
        augmentation=augmentation if config.augment else None,
        progress=progress,
    )
    layers = tuple(Layer(name, weights[name].detach().clone(), gradients.blocks[name]) for name in names)
    seconds["gradients"] = time.perf_counter() - started

    started = time.perf_counter()
    problem = Problem(layers, config.ridge * mean_curvature(layers), float(config.first_order))
    facts = LayerFacts(
        weights=tuple(layer.weight for layer in layers),
        macs=tuple(multiplications(dense, names, calibration.images[:1]).values()),
        cost_sparsity=config.cost_sparsity,
    )
    allocation = get_allocation(config.allocation)
    constraint = Constraint(pattern, problem.shapes, allocation(problem.shapes, config.sparsity, facts))
    start = torch.cat([given[name].detach().flatten() for name in names])
    solution = convert_weights(problem, start, constraint, progress=progress)
    masks = {}
    with torch.no_grad():
        for name, shape, (first, last) in zip(names, problem.shapes, problem.bounds, strict=True):
            given[name].copy_(solution.weights[first:last].view(shape))
            masks[name] = solution.mask[first:last].view(shape).clone()
    seconds["solve"] = time.perf_counter() - started

    images, views, seed = calibration.images, config.recalibration_views, config.seed
    if method.reconstruct:
        started = time.perf_counter()
        kept = constraint.counts(solution.mask)
        sets = {name: Constraint(pattern, (masks[name].shape,), keep) for name, keep in zip(names, kept, strict=True)}
        masks = reconstruct(
            converted,
            dense,
            images[: config.fit_images],
            sets,
            masks,
            ridge=config.fit_ridge,
            memory_bytes=config.memory_budget_bytes,
            progress=progress,
        )
        seconds["reconstruct"] = time.perf_counter() - started
    if views:
        converted = recalibrated_if_closer(
            converted, dense, images, views=views, augmentation=augmentation, seed=seed, progress=progress
        )

    layer_figures = tuple(
        LayerFigures(name, tuple(mask.shape), int(mask.sum()), 1 - float(mask.float().mean()))
        for name, mask in masks.items()
    )
    figures = PruneFigures(
        method=config.method,
        structure=config.structure,
        sparsity=1 - sum(layer.nnz for layer in layer_figures) / problem.dense.numel(),
        objective=solution.objective,
        trace=solution.trace,
        samples=len(images),
        seconds=seconds,
        layers=layer_figures,
    )
    return PruneResult(converted, masks, figures)
