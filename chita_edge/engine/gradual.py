"""Pruning and distillation in turns: once each, or gradually, at rising sparsity."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from chita_edge.engine.config import PruneConfig
from chita_edge.engine.result import DistillationStep, PruneResult
from chita_edge.errors import UsageError
from chita_edge.progress import Progress, silent
from chita_edge.pruning.schedules import round_sparsities
from chita_edge.tuning import Recipe, distill, divergence

if TYPE_CHECKING:
    from collections.abc import Callable

    from chita_edge.engine.plan import PruningPlan
    from chita_edge.network.inputs import Batch
    from chita_edge.network.objective import Objective
    from chita_edge.storage.fingerprint import Fingerprint


def prune_and_distill(
    prune_once: Callable[[nn.Module, PruningPlan], PruneResult],
    model: nn.Module,
    images: Batch,
    plan: PruningPlan,
    state_dir: Path | None = None,
    known_by: Fingerprint | None = None,
    *,
    objective: Objective,
    progress: Progress = silent,
) -> PruneResult:
    """Alternate pruning and masked fine-tuning `config.gradual_steps` times; the teacher is always `model`.

    With more than one step a network is pruned a little, learns, is pruned a little more, and so on, as in the gradual
    pruning of CHITA++ (Benbaki et al. 2023, section 4); each step chooses among all weights again. What learning has
    not brought closer to the dense network, on these images, is not kept.

    Args:
        prune_once: prunes a copy of a network, without distillation.
        model: the dense network; not changed.
        images: to learn on.
        plan: how.
        state_dir: folder for checkpoints; the same call goes on from the last one there.
        known_by: all that the result depends on but the memory budget; with `state_dir`.
        objective: of the dense network.
        progress: called with the phases of `prune_once` and with "distill".

    Raises:
        ChitaEdgeError: what pruning or distillation raises; more than one step where pruning removes whole tensors.
    """
    config = plan.config
    if state_dir is not None:
        _make(state_dir)
    network, seconds, judged = model, dict[str, float](), list[DistillationStep]()
    steps = config.gradual_steps
    for step, sparsity in enumerate(round_sparsities(config.schedule, config.sparsity, steps), start=1):
        result = prune_once(network, plan.at(sparsity))
        if steps > 1 and _shapes(result.model) != _shapes(model):
            raise UsageError(
                f"The structure {config.structure!r} makes tensors smaller and cannot be reached in steps; use one."
            )
        started = time.perf_counter()
        tuned = distill(
            result.model,
            model,
            images,
            result.masks,
            _recipe(config, step),
            objective=objective,
            checkpoint=None if state_dir is None else state_dir / f"distill-{step}.safetensors",
            known_by=None
            if known_by is None
            else known_by.extended({"step": step, "memory": config.memory_budget_bytes}),
            progress=progress,
        )
        network = result.model
        # A learning rate that is too large for a network shows here, and then nothing is better than that.
        if tuned.epochs:
            distances = (divergence(candidate, model, images, objective) for candidate in (network, tuned.model))
            judged.append(DistillationStep.of(result.figures.sparsity, tuned.epochs, *distances))
            network = tuned.model if judged[-1].kept else network
        for stage, spent in (*result.figures.seconds.items(), ("distill", time.perf_counter() - started)):
            seconds[stage] = seconds.get(stage, 0.0) + spent
    figures = replace(
        result.figures,
        seconds=seconds,
        distilled_epochs=sum(step.epochs for step in judged if step.kept),
        distillation=tuple(judged),
    )
    return PruneResult(network, result.masks, figures)


def _recipe(config: PruneConfig, step: int) -> Recipe:
    """Recipe of one step: its share of epochs; the last step takes the remainder."""
    steps = config.gradual_steps
    share, rest = divmod(config.distill_epochs, steps)
    return Recipe(
        epochs=share + (rest if step == steps else 0),
        seconds=None if config.distill_seconds is None else config.distill_seconds / steps,
        optimiser=config.distill_optimiser,
        learning_rate=config.distill_rate,
        temperature=config.distill_temperature,
        seed=config.seed,
    )


def _make(folder: Path) -> None:
    """Make the folder before pruning starts, so that an error comes early."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"The folder {folder} for unfinished work cannot be made: {error.strerror}.") from None


def _shapes(model: nn.Module) -> list[torch.Size]:
    return [tensor.shape for tensor in model.state_dict().values()]
