"""`prune`: from a trained network and calibration images to a sparse network."""

from __future__ import annotations

import copy
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from chita_edge.calibration import per_sample_gradients
from chita_edge.distillation import prune_and_distill
from chita_edge.errors import UsageError
from chita_edge.layer_work import multiplications
from chita_edge.models.prunable import pointwise_and_linear
from chita_edge.progress import Progress, silent
from chita_edge.prune_channels import CHANNEL_STRUCTURES, prune_channels
from chita_edge.prune_config import PruneConfig
from chita_edge.prune_methods import get_method
from chita_edge.prune_result import LayerFigures, PruneFigures, PruneResult
from chita_edge.pruning import Constraint, Layer, LayerFacts, Problem, get_allocation, get_pattern, get_solver
from chita_edge.pruning.schedules import stage_sparsities
from chita_edge.reconstruction import reconstruct
from chita_edge.tuning import recalibrate_batch_norm, recalibrated_if_closer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from torch import nn

    from chita_edge.calibration import GradientMatrix
    from chita_edge.datasets import LabelledImages
    from chita_edge.pruning import Solution


def prune(
    model: nn.Module,
    calibration: LabelledImages,
    config: PruneConfig | None = None,
    *,
    prunable: Sequence[str] | None = None,
    gradients: GradientMatrix | None = None,
    state_dir: Path | None = None,
    progress: Progress = silent,
) -> PruneResult:
    """Prune a copy of a network; the network itself is left untouched.

    Args:
        model: trained network.
        calibration: images as the network takes them, with labels.
        config: how; the defaults when None.
        prunable: names of the weights that may become zero; the 1×1 convolutions' and linear layers' when None.
        gradients: of the same network at the same weights, where they are at hand already; computed when None.
        state_dir: a folder in which the last state of the distillation is kept, so that the same call goes on from
            there after a kill, to the same result.
        progress: called with stages "gradients" and "solve", as often as the method has stages, then "reconstruct",
            "batch norm" and "distill".

    Raises:
        ChitaEdgeError: an unknown method, structure, allocation or schedule; a budget that cannot be met; a weight,
            image or gradient that is not finite; a layer that cannot be pruned; no room for the gradients.
    """
    config = config or PruneConfig()
    if config.distill_epochs:

        def prune_once(model_now: nn.Module, options: PruneConfig) -> PruneResult:
            known = gradients if model_now is model else None
            return prune(model_now, calibration, options, prunable=prunable, gradients=known, progress=progress)

        return prune_and_distill(prune_once, model, calibration.images, config, state_dir, progress)
    if config.structure in CHANNEL_STRUCTURES:
        return prune_channels(model, calibration, config, prunable=prunable, progress=progress)
    method = get_method(config.method)
    solver, pattern = get_solver(method.solver), get_pattern(config.structure)
    allocation = get_allocation(config.allocation)
    sparsities = stage_sparsities(config.schedule, config.sparsity, config.stages or method.stages)
    names = tuple(pointwise_and_linear(model) if prunable is None else prunable)
    dense, pruned = (copy.deepcopy(model).eval() for _ in range(2))
    parameters = dict(pruned.named_parameters())
    seconds: dict[str, float] = {}

    for stage, sparsity in enumerate(sparsities):
        with _timed(seconds, "gradients"):
            if stage or gradients is None:
                gradients = calibration_gradients(pruned, calibration, names, config, stage, progress)
        with _timed(seconds, "solve"):
            layers = tuple(Layer(name, parameters[name].detach().clone(), gradients.blocks[name]) for name in names)
            problem = Problem(layers, config.ridge * mean_curvature(layers), float(config.first_order))
            facts = _facts(dense, pruned, names, config, calibration.images[:1])
            constraint = Constraint(pattern, problem.shapes, allocation(problem.shapes, sparsity, facts))
            solution = solver.solve(problem, constraint, progress)
        masks = _apply(problem, solution, parameters)

    if method.reconstruct:
        with _timed(seconds, "reconstruct"):
            counts = constraint.counts(solution.mask)
            sets = {n: Constraint(pattern, (masks[n].shape,), kept) for n, kept in zip(names, counts, strict=True)}
            masks = reconstruct(
                pruned, dense, calibration.images, sets, masks, ridge=config.fit_ridge, progress=progress
            )
    with _timed(seconds, "batch norm"):
        views, images = config.recalibration_views, calibration.images
        if views and method.reconstruct:
            pruned = recalibrated_if_closer(pruned, dense, images, views=views, seed=config.seed, progress=progress)
        elif views:
            recalibrate_batch_norm(pruned, images, views=views, seed=config.seed, progress=progress)
    return PruneResult(pruned, masks, _figures(config, solution, masks, len(calibration.images), seconds))


def calibration_gradients(
    model: nn.Module,
    calibration: LabelledImages,
    names: Sequence[str],
    config: PruneConfig,
    stage: int = 0,
    progress: Progress = silent,
) -> GradientMatrix:
    """The gradients of one stage of `prune`: each stage takes the next images, round and round."""
    total = len(calibration.images)
    count = min(config.gradient_samples or total, total)
    count -= count % config.samples_per_row
    chosen = torch.arange(stage * count, (stage + 1) * count) % total
    return per_sample_gradients(
        model,
        calibration.images[chosen],
        calibration.labels[chosen],
        names,
        batch_size=config.gradient_batch,
        samples_per_row=config.samples_per_row,
        memory_budget_bytes=config.memory_budget_bytes,
        scratch_dir=config.scratch_dir,
        progress=progress,
    )


def mean_curvature(layers: Sequence[Layer]) -> float:
    """Mean diagonal of the empirical Fisher n⁻¹AᵀA: the scale of the curvature, and the unit of the ridge."""
    squares = sum(float(layer.gradients.square().sum(dtype=torch.float64)) for layer in layers)
    return squares / max(1, sum(layer.gradients.numel() for layer in layers))


def _facts(
    dense: nn.Module, pruned: nn.Module, names: Sequence[str], config: PruneConfig, image: torch.Tensor
) -> LayerFacts:
    """What allocations may ask about the layers."""
    table = config.cost_table
    if table is not None and set(table) != set(names):
        unlike = ", ".join(sorted(set(table) ^ set(names))[:3])
        raise UsageError(f"The cost table has to name exactly the prunable weights; it differs by {unlike}.")
    parameters = dict(pruned.named_parameters())
    return LayerFacts(
        weights=tuple(parameters[name].detach() for name in names),
        macs=tuple(multiplications(dense, names, image).values()),
        cost_points=None if table is None else tuple(table[name] for name in names),
        cost_sparsity=config.cost_sparsity,
    )


def _apply(problem: Problem, solution: Solution, parameters: dict[str, nn.Parameter]) -> dict[str, torch.Tensor]:
    """Write the solution into the parameters; returns the masks."""
    masks = {}
    with torch.no_grad():
        for layer, (start, stop) in zip(problem.layers, problem.bounds, strict=True):
            parameters[layer.name].copy_(solution.weights[start:stop].view(layer.weight.shape))
            masks[layer.name] = solution.mask[start:stop].view(layer.weight.shape).clone()
    return masks


def _figures(
    config: PruneConfig, solution: Solution, masks: dict[str, torch.Tensor], samples: int, seconds: dict[str, float]
) -> PruneFigures:
    layers = tuple(
        LayerFigures(name, tuple(mask.shape), int(mask.sum()), 1 - float(mask.float().mean()))
        for name, mask in masks.items()
    )
    size = sum(mask.numel() for mask in masks.values())
    return PruneFigures(
        method=config.method,
        structure=config.structure,
        sparsity=1 - sum(layer.nnz for layer in layers) / size,
        objective=solution.objective,
        trace=solution.trace,
        samples=samples,
        seconds=seconds,
        layers=layers,
    )


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - started
