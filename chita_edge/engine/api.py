"""`prune`: from a trained network and calibration images to a sparse network."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any

from chita_edge.calibration.distributed.ranks import ALONE
from chita_edge.datasets.collect import collect
from chita_edge.engine.channels import prune_channels
from chita_edge.engine.config import PruneConfig
from chita_edge.engine.device import find_device
from chita_edge.engine.gradients import round_gradients
from chita_edge.engine.gradual import prune_and_distill
from chita_edge.engine.objective import run_objective
from chita_edge.engine.plan import PruningPlan, resolve
from chita_edge.engine.result import PruneResult
from chita_edge.engine.run import Run, share
from chita_edge.engine.threads import torch_threads
from chita_edge.errors import UsageError
from chita_edge.network.batch import check_images, check_weights, copy_network, float32_network, other_types
from chita_edge.network.inputs import input_tensors
from chita_edge.network.rewrite import rewritten
from chita_edge.progress import Progress, silent
from chita_edge.stopwatch import Stopwatch
from chita_edge.storage.fingerprint import Fingerprint, fingerprint
from chita_edge.storage.state_folder import StateFolder
from chita_edge.tuning import infer_training_augmentation
from chita_edge.tuning.equalisation import equalise_channels
from chita_edge.tuning.training_augmentation import PLAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import torch
    from torch import nn

    from chita_edge.calibration import GradientMatrix
    from chita_edge.calibration.distributed.ranks import Ranks
    from chita_edge.datasets import LabelledImages


def prune(
    model: nn.Module,
    data: Any,
    config: PruneConfig | None = None,
    *,
    prunable: Sequence[str] | None = None,
    loss: Callable[[Any, Any], torch.Tensor] | None = None,
    gradients: GradientMatrix | None = None,
    state_dir: Path | None = None,
    ranks: Ranks = ALONE,
    progress: Progress = silent,
    clock: Callable[[], float] = time.perf_counter,
) -> PruneResult:
    """Prune a copy of a network; the network itself is left untouched.

    Args:
        model: trained network; one of another precision than float32 is pruned, and returned, in float32.
        data: calibration samples as the network takes them: a tensor, a `torch.utils.data.Dataset`, a `DataLoader`, or
            any iterable of tensors, tuples or dicts; with labels where a loss compares with them. See
            `chita_edge.datasets.collect`.
        config: how; the defaults when None.
        prunable: names of the weights that may become zero; all that the network uses in linear layers and
            convolutions, and nowhere else, but for the first layer's and depthwise ones when None.
        loss: of (outputs, labels), one value a sample or their mean, for the gradients; no labels are needed without
            one.
        gradients: of the same network at the same weights, where they are at hand already; computed when None.
        state_dir: a folder in which finished batches of gradients, finished layers and the last state of the
            distillation are kept, so that the same call goes on from there after a kill, to the same result. The
            gradients are removed once they are not needed.
        ranks: the processes that prune the same network with the same arguments, see
            `chita_edge.calibration.ranks_from_environment`; each takes the gradients of its share of the samples, and
            all return the same.
        progress: called with phases "gradients" and "solve", as often as the method has rounds, then "reconstruct",
            "batch norm" and "distill".
        clock: what the figures' seconds are counted by: the wall's clock, or `time.process_time`.

    Raises:
        ChitaEdgeError: an unknown method, structure, allocation or schedule; a budget that cannot be met; a weight,
            image or gradient that is not finite; a layer that cannot be pruned; no room for the gradients; a
            state folder that is damaged or another run's; another process that failed.
    """
    config = config or PruneConfig()
    if loss is not None and config.loss is None:  # for the record
        config = config.model_copy(update={"loss": f"{loss.__module__}:{getattr(loss, '__qualname__', 'loss')}"})
    raised = tuple(f"numbers of {kind} in float32" for kind in other_types(model))
    model = copy_network(float32_network(model)).eval()
    changes, origin = (*raised, *rewritten(model)), find_device(None, model)
    device = find_device(config.device, model)
    with torch_threads(config.threads), ranks.guarded():
        check_weights(model)
        model = model.to(device)
        calibration = collect(data, model, seed=config.seed).calibration.float32().to(device)
        if callable(find_batch := getattr(model, "settle", None)):  # of a network that was made from a graph
            find_batch(*input_tensors(calibration.images[:2]))
        check_images(calibration.images, calibration.labels)
        plan = resolve(config, model, prunable, calibration.images[:1])
        _check(plan, gradients, state_dir, ranks, device)
        if plan.equalises and gradients is None:
            changes = (*changes, equalise_channels(model, calibration.images))
        if state_dir is not None and ranks.size > 1:
            state_dir = state_dir / f"rank-{ranks.rank}-of-{ranks.size}"
        objective = run_objective(model, calibration, config, loss)
        known_by = None
        if state_dir is not None or ranks.size > 1:
            known_by = _identity(model, calibration, plan)
            ranks.same(known_by.extended({"option memory_budget_bytes": config.memory_budget_bytes}).parts)
            known_by = known_by.extended({"rank": (ranks.rank, ranks.size)})
        step = count(1)

        def prune_once(network: nn.Module, plan_now: PruningPlan) -> PruneResult:
            number, place, run = next(step), state_dir, known_by
            if place is not None and run is not None and config.distill_epochs:
                place = place / f"prune-{number}"
                # The first step does not depend on what is learnt after it.
                run = run.extended(_options(plan_now if number == 1 else plan) | {"step": number})
            if plan.side is not None:
                return prune_channels(network, calibration, plan_now, objective=objective, progress=progress)
            with _opened(place, run) as state:
                stopwatch = Stopwatch(clock, {"gradients": 0.0, "solve": 0.0})
                one = Run(plan_now, network, calibration, objective, stopwatch, state, ranks, progress)
                return one.result(gradients if network is model else None)

        if config.distill_epochs:
            result = prune_and_distill(
                prune_once, model, calibration.images, plan, state_dir, known_by, objective=objective, progress=progress
            )
            result = replace(result, masks=share(ranks, result.model, result.masks))
        else:
            result = prune_once(model, plan)
    figures = replace(result.figures, dense=plan.dense, compared=str(objective), rewritten=changes)
    return replace(result, model=result.model.to(origin), figures=figures)


def calibration_gradients(
    model: nn.Module,
    calibration: LabelledImages,
    names: Sequence[str],
    config: PruneConfig,
    number: int = 0,
    progress: Progress = silent,
) -> GradientMatrix:
    """The gradients of one round of `prune`: each round takes the next images, round and round."""
    model, calibration = copy_network(float32_network(model)).eval(), calibration.float32()
    rewritten(model)
    with torch_threads(config.threads):
        plan = resolve(config, model, names, calibration.images[:1])
        objective = run_objective(model, calibration, config)
        known = PLAIN
        if config.augment:
            known = infer_training_augmentation(model, calibration.images, objective=objective, seed=config.seed)
        return round_gradients(
            model, calibration, plan, number, objective=objective, augmentation=known, progress=progress
        )


def _check(
    plan: PruningPlan,
    gradients: GradientMatrix | None,
    state_dir: Path | None,
    ranks: Ranks,
    calibration_device: torch.device,
) -> None:
    """Refuse arguments that exclude each other."""
    if state_dir is not None and gradients is not None:
        raise UsageError("With a state folder the gradients are computed into it; do not bring others.")
    if plan.config.equalise and gradients is not None:
        raise UsageError("The gradients are those of the network as it is; leave out equalise, or the gradients.")
    fit_images, structure = plan.config.fit_images, plan.config.structure
    if fit_images is not None and fit_images < ranks.size:
        raise UsageError(f"{fit_images} images to refit layers on cannot be spread over {ranks.size} processes.")
    if plan.side is not None and calibration_device.type != "cpu":
        raise UsageError(f"The structure {structure!r} is found on the CPU; leave out the device, or move the network.")
    if plan.side is not None and ranks.size > 1:
        raise UsageError(f"The structure {structure!r} is found by one process; start it alone.")
    if plan.side is not None and state_dir is not None and not plan.config.distill_epochs:
        raise UsageError(f"The structure {structure!r} keeps no unfinished work; leave out the state folder.")


def _identity(model: nn.Module, calibration: LabelledImages, plan: PruningPlan) -> Fingerprint:
    """Fingerprint of a run, known before its work begins.

    The memory budget is left to the parts that depend on it: it says how many images refit the layers.
    """
    inputs = {**calibration.tensors(), "names of the weights": plan.names}
    return fingerprint(model, inputs).extended(_options(plan))


def _options(plan: PruningPlan) -> dict[str, object]:
    """The options that a result depends on, as parts of a fingerprint."""
    values = plan.config.model_dump(mode="json", exclude={"memory_budget_bytes", "scratch_dir"})
    return {f"option {name}": value for name, value in values.items()}


@contextmanager
def _opened(path: Path | None, known_by: Fingerprint | None) -> Iterator[StateFolder | None]:
    """Open state folder, or None where no path is given."""
    if path is None or known_by is None:
        yield None
        return
    with StateFolder(path, known_by) as state:
        yield state
