"""Pruning of whole channels, for the structures ``filter`` and ``channel``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from chita_edge.engine.facts import layer_facts
from chita_edge.engine.gradients import mean_curvature, round_images
from chita_edge.engine.reconstruct import reconstruct
from chita_edge.engine.result import LayerFigures, PruneFigures, PruneResult
from chita_edge.errors import UsageError
from chita_edge.network.batch import copy_network
from chita_edge.network.inputs import single
from chita_edge.network.objective import Objective
from chita_edge.network.output_curvature import OutputCurvature
from chita_edge.progress import Progress, silent
from chita_edge.pruning import Problem, PruningError
from chita_edge.shrinking import (
    Side,
    WeightsLeft,
    channel_groups,
    channel_layers,
    choose_channels,
    scale_channels,
    weight_masks,
    zero_channels,
)
from chita_edge.tuning import recalibrate_bn_if_better

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chita_edge.datasets import LabelledImages
    from chita_edge.engine.plan import PruningPlan
    from chita_edge.network.capture import Loss
    from chita_edge.pruning import Layer
    from chita_edge.shrinking import ChannelGroup


def prune_channels(
    model: nn.Module,
    calibration: LabelledImages,
    plan: PruningPlan,
    *,
    objective: Objective,
    progress: Progress = silent,
) -> PruneResult:
    """Set whole channels of a copy of a network to zero in every layer that shares them; `shrink` then removes them.

    Channels are chosen in groups that depend on each other (`chita_edge.shrinking.channel_groups`) by the method's
    solver on the quadratic of whole channels; the classes and the input's channels are in no group, and each group
    keeps at least one. The structure says whose sensitivity counts, that of the filters that write a channel or of the
    columns that read it. A layer that is not prunable still loses the channels it shares.

    Args and errors: see `chita_edge.engine.api.prune`; the sparsity counts the prunable weights that become zero.
    """
    config, method, names, side = plan.config, plan.method, plan.names, plan.side
    assert side is not None  # noqa: S101 (the plan is one for channels)
    dense, pruned = (copy_network(model).eval() for _ in range(2))
    groups = channel_groups(pruned, single(calibration.images[:1]))
    if not groups:
        raise PruningError("There is no layer to prune whose channels could go; choose another structure.")
    shapes = tuple(pruned.get_parameter(name).shape for name in names)
    facts = layer_facts(dense, dense, plan, calibration.images[:1])
    weights_left = WeightsLeft.of(pruned, groups, names)
    seconds: dict[str, float] = {}
    clock = _Clock(seconds)

    for number, sparsity in enumerate(plan.sparsities):
        layers = _layers(pruned, calibration, groups, side, plan, number, objective, progress)
        clock.spent("gradients")
        problem = Problem(layers, config.ridge * mean_curvature(layers), float(config.first_order))
        choice = choose_channels(problem, plan.solver, plan.allocation, sparsity, weights_left, shapes, facts, progress)
        zero_channels(pruned, groups, choice.kept)
        if not method.reconstruct:
            scale_channels(pruned, groups, choice.factors, side)
        clock.spent("solve")

    # Masks also of the layers that lose channels without being prunable: what trains the network must keep those too.
    affected = _refitted(pruned, groups)
    masks = weight_masks(pruned, groups, choice.kept, (*names, *(name for name in affected if name not in names)))
    if method.reconstruct:
        refitted = {name: masks[name] for name in affected}
        reconstruct(
            pruned,
            dense,
            calibration.images[: config.fit_images],
            {},
            refitted,
            ridge=config.fit_ridge,
            search=False,
            memory_bytes=config.memory_budget_bytes,
            progress=progress,
        )
        zero_channels(pruned, groups, choice.kept)
        clock.spent("reconstruct")
    views, images = config.recalibration_views, calibration.images
    if views:
        pruned = recalibrate_bn_if_better(
            pruned, dense, images, views=views, objective=objective, seed=config.seed, progress=progress
        )
    clock.spent("batch norm")

    figures = PruneFigures(
        method=config.method,
        structure=config.structure,
        sparsity=1 - sum(int(masks[name].sum()) for name in names) / sum(shape.numel() for shape in shapes),
        objective=choice.solution.objective,
        trace=choice.solution.trace,
        samples=len(images),
        seconds=seconds,
        layers=tuple(
            LayerFigures(name, tuple(shape), int(masks[name].sum()), 1 - float(masks[name].float().mean()))
            for name, shape in zip(names, shapes, strict=True)
        ),
        threads=config.threads,
    )
    return PruneResult(pruned, masks, figures)


def _layers(
    model: nn.Module,
    calibration: LabelledImages,
    groups: Sequence[ChannelGroup],
    side: Side,
    plan: PruningPlan,
    number: int,
    objective: Objective,
    progress: Progress,
) -> tuple[Layer, ...]:
    """The problem's layers; each round takes the next images, round and round."""
    config = plan.config
    total, count = len(calibration.images), round_images(calibration, config)
    chosen = torch.arange(number * count, (number + 1) * count) % total
    labels: Any = None if calibration.labels is None else calibration.labels[chosen]
    loss: Loss = objective.loss
    if plan.curvature != "loss":
        seed = (config.seed * 1000 + number) * 1_000_003 + 500_000
        loss, labels = OutputCurvature(seed, objective.outputs, plan.curvature == "outputs"), torch.arange(count)
    elif labels is None:
        raise UsageError(f"The structure {config.structure!r} is to go by the loss, so it needs labels.")
    return channel_layers(
        model,
        groups,
        single(calibration.images[chosen]),
        labels,
        side,
        batch_size=config.gradient_batch,
        samples_per_row=config.samples_per_row,
        loss=loss,
        progress=progress,
    )


def _refitted(model: nn.Module, groups: Sequence[ChannelGroup]) -> tuple[str, ...]:
    """Weights of the layers that lose something and can be refitted: all that write or read a group."""
    layers = {member.layer for group in groups for member in group.having("writes", "reads")}
    return tuple(f"{name}.weight" for name, _ in model.named_modules() if name in layers)


class _Clock:
    """Adds up the time since it was last asked."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self._seconds = seconds
        self._last = time.perf_counter()

    def spent(self, stage: str) -> None:
        now = time.perf_counter()
        self._seconds[stage] = self._seconds.get(stage, 0.0) + now - self._last
        self._last = now
