"""`prune`: from a trained network and calibration images to a sparse network."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

from chita_edge.calibration.distributed.ranks import ALONE
from chita_edge.distillation import prune_and_distill
from chita_edge.errors import UsageError
from chita_edge.layer_facts import layer_facts
from chita_edge.network.batch import check_images, check_weights, copy_network, float32_network
from chita_edge.network.objective import find_objective
from chita_edge.network.targets import layer_weights, pointwise_and_linear
from chita_edge.progress import Progress, silent
from chita_edge.prune_channels import CHANNEL_STRUCTURES, prune_channels
from chita_edge.prune_config import PruneConfig
from chita_edge.prune_methods import get_method, stage_count
from chita_edge.prune_result import PruneResult, figures_of
from chita_edge.prune_run import Run, known_augmentation, share
from chita_edge.prune_stage import stage_gradients, stage_images
from chita_edge.pruning import Constraint, PruningError, get_allocation, get_pattern, get_solver
from chita_edge.pruning.schedules import stage_sparsities
from chita_edge.resume import Fingerprint, StateFolder, fingerprint
from chita_edge.stopwatch import Stopwatch
from chita_edge.torch_threads import torch_threads
from chita_edge.tuning import familiar_augmentation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from torch import nn

    from chita_edge.calibration import GradientMatrix
    from chita_edge.calibration.distributed.ranks import Ranks
    from chita_edge.datasets import LabelledImages
    from chita_edge.network.objective import Objective


def prune(
    model: nn.Module,
    calibration: LabelledImages,
    config: PruneConfig | None = None,
    *,
    prunable: Sequence[str] | None = None,
    gradients: GradientMatrix | None = None,
    state_dir: Path | None = None,
    ranks: Ranks = ALONE,
    progress: Progress = silent,
    clock: Callable[[], float] = time.perf_counter,
) -> PruneResult:
    """Prune a copy of a network; the network itself is left untouched.

    Args:
        model: trained network; one of another precision than float32 is pruned, and returned, in float32.
        calibration: images as the network takes them, with labels.
        config: how; the defaults when None.
        prunable: names of the weights that may become zero; the 1×1 convolutions' and linear layers' when None. Any
            parameter can that the network uses in linear layers and convolutions, and nowhere else.
        gradients: of the same network at the same weights, where they are at hand already; computed when None.
        state_dir: a folder in which finished batches of gradients, finished layers and the last state of the
            distillation are kept, so that the same call goes on from there after a kill, to the same result. The
            gradients are removed once they are not needed.
        ranks: the processes that prune the same network with the same arguments, see
            `chita_edge.calibration.ranks_from_environment`; each takes the gradients of its share of the samples, and
            all return the same.
        progress: called with stages "gradients" and "solve", as often as the method has stages, then "reconstruct",
            "batch norm" and "distill".
        clock: what the figures' seconds are counted by: the wall's clock, or `time.process_time`.

    Raises:
        ChitaEdgeError: an unknown method, structure, allocation or schedule; a budget that cannot be met; a weight,
            image or gradient that is not finite; a layer that cannot be pruned; no room for the gradients; a
            state folder that is damaged or another run's; another process that failed.
    """
    config = config or PruneConfig()
    model, calibration = copy_network(float32_network(model)).eval(), calibration.float32()
    if state_dir is not None and gradients is not None:
        raise UsageError("With a state folder the gradients are computed into it; do not bring others.")
    if state_dir is not None and ranks.size > 1:
        state_dir = state_dir / f"rank-{ranks.rank}-of-{ranks.size}"
    with torch_threads(config.threads), ranks.guarded():
        check_weights(model)
        check_images(calibration.images, calibration.labels)
        objective = find_objective(model, calibration.images, calibration.labels)
        known_by = None
        if state_dir is not None or ranks.size > 1:
            known_by = _identity(model, calibration, prunable, config)
            ranks.same(known_by.extended({"option memory_budget_bytes": config.memory_budget_bytes}).parts)
            known_by = known_by.extended({"rank": (ranks.rank, ranks.size)})
        if not config.distill_epochs:
            return _prune(
                model, calibration, config, prunable, gradients, state_dir, known_by, ranks, objective, progress, clock
            )
        step = count(1)

        def prune_once(model_now: nn.Module, options: PruneConfig) -> PruneResult:
            number, known, place, run = next(step), gradients if model_now is model else None, state_dir, known_by
            if place is not None and run is not None:
                place = place / f"prune-{number}"
                # The first step does not depend on what is learnt after it.
                run = run.extended(_options(options if number == 1 else config) | {"step": number})
            return _prune(
                model_now, calibration, options, prunable, known, place, run, ranks, objective, progress, clock
            )

        result = prune_and_distill(
            prune_once, model, calibration.images, config, state_dir, known_by, objective=objective, progress=progress
        )
        masks = share(ranks, result.model, result.masks)
    return replace(result, masks=masks)


def _prune(
    model: nn.Module,
    calibration: LabelledImages,
    config: PruneConfig,
    prunable: Sequence[str] | None,
    gradients: GradientMatrix | None,
    state_dir: Path | None,
    known_by: Fingerprint | None,
    ranks: Ranks,
    objective: Objective,
    progress: Progress,
    clock: Callable[[], float],
) -> PruneResult:
    """The same without distillation; the state folder is this process's own."""
    if config.structure in CHANNEL_STRUCTURES:
        if ranks.size > 1:
            raise UsageError(f"The structure {config.structure!r} is found by one process; start it alone.")
        return prune_channels(model, calibration, config, prunable=prunable, objective=objective, progress=progress)
    if config.fit_images is not None and config.fit_images < ranks.size:
        raise UsageError(f"{config.fit_images} images to refit layers on cannot be spread over {ranks.size} processes.")
    method = get_method(config.method)
    solver, pattern = get_solver(method.solver), get_pattern(config.structure)
    allocation = get_allocation(config.allocation)
    sparsities = stage_sparsities(config.schedule, config.sparsity, stage_count(config))
    names = layer_weights(model, pointwise_and_linear(model) if prunable is None else prunable)
    if not names:
        raise PruningError("There is no layer to prune. Name at least one weight that may be pruned.")
    dense, pruned = (copy_network(model).eval() for _ in range(2))
    parameters = dict(pruned.named_parameters())
    shapes = tuple(parameters[name].shape for name in names)

    with _opened(state_dir, known_by) as state:
        stopwatch = Stopwatch(clock, {"gradients": 0.0, "solve": 0.0})
        augmentation = known_augmentation(dense, calibration, config, ranks, objective)
        run = Run(
            pruned,
            dense,
            calibration,
            names,
            config,
            solver,
            augmentation,
            objective,
            stopwatch,
            state,
            ranks,
            progress,
        )
        for stage, sparsity in enumerate(sparsities):
            facts = layer_facts(dense, pruned, names, config, calibration.images[:1])
            constraint = Constraint(pattern, shapes, allocation(shapes, sparsity, facts))
            solution, masks = run.stage(stage, constraint, None if stage else gradients)
            if stage + 1 < len(sparsities):
                masks = run.between_stages(masks)
        masks = run.finish(constraint, masks)
    return PruneResult(pruned, masks, figures_of(config, solution, masks, len(calibration.images), stopwatch.seconds))


def calibration_gradients(
    model: nn.Module,
    calibration: LabelledImages,
    names: Sequence[str],
    config: PruneConfig,
    stage: int = 0,
    progress: Progress = silent,
) -> GradientMatrix:
    """The gradients of one stage of `prune`: each stage takes the next images, round and round."""
    model = copy_network(model).eval()
    rows = slice(0, stage_images(calibration, config) // config.samples_per_row)
    with torch_threads(config.threads):
        objective = find_objective(model, calibration.images, calibration.labels)
        known = None
        if config.augment:
            known = familiar_augmentation(model, calibration.images, objective=objective, seed=config.seed)
        return stage_gradients(
            model,
            calibration,
            names,
            config,
            stage,
            rows,
            objective=objective,
            augmentation=known,
            progress=progress,
        )


def _identity(
    model: nn.Module,
    calibration: LabelledImages,
    prunable: Sequence[str] | None,
    config: PruneConfig,
) -> Fingerprint:
    """What the result of a run depends on, known before any of it is done.

    The memory budget is left to the parts that depend on it: it says how many images refit the layers.
    """
    names = tuple(pointwise_and_linear(model) if prunable is None else prunable)
    inputs = {**calibration.tensors(), "names of the weights": names}
    return fingerprint(model, inputs).extended(_options(config))


def _options(config: PruneConfig) -> dict[str, object]:
    """The options that a result depends on, as parts of a fingerprint."""
    values = config.model_dump(mode="json", exclude={"memory_budget_bytes", "scratch_dir"})
    return {f"option {name}": value for name, value in values.items()}


@contextmanager
def _opened(path: Path | None, known_by: Fingerprint | None) -> Iterator[StateFolder | None]:
    """The state folder, if one is wanted."""
    if path is None or known_by is None:
        yield None
        return
    with StateFolder(path, known_by) as state:
        yield state
