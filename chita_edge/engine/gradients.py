"""Gradients of one round of pruning: which images, which views of them, and of what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from chita_edge.calibration import GradientMatrix, OutputCurvature, per_sample_gradients
from chita_edge.errors import UsageError
from chita_edge.network.batch import check_images
from chita_edge.network.inputs import input_tensors
from chita_edge.progress import Progress, silent
from chita_edge.pruning.columns import squared_norms
from chita_edge.tuning.training_augmentation import PLAIN
from chita_edge.tuning.views import are_images, darkest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import nn

    from chita_edge.datasets import LabelledImages
    from chita_edge.engine.config import PruneConfig
    from chita_edge.engine.plan import PruningPlan
    from chita_edge.network.capture import Loss
    from chita_edge.network.objective import Objective
    from chita_edge.pruning import Layer
    from chita_edge.tuning.views import Augmentation

_STORAGE = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def round_images(calibration: LabelledImages, config: PruneConfig) -> int:
    """Number of images whose gradients one round takes.

    Raises:
        UsageError: they do not fill one row.
    """
    total = len(calibration.images)
    count = min(config.gradient_samples or total, total)
    if 0 < count < config.samples_per_row:
        raise UsageError(f"{count} calibration images do not fill one row of {config.samples_per_row} samples.")
    return count - count % config.samples_per_row


def round_gradients(
    model: nn.Module,
    calibration: LabelledImages,
    plan: PruningPlan,
    number: int,
    rows: slice | None = None,
    *,
    objective: Objective,
    augmentation: Augmentation = PLAIN,
    keep_in: tuple[Path, str] | None = None,
    progress: Progress = silent,
) -> GradientMatrix:
    """Compute rows of A, the matrix of per-sample gradients, for one round.

    Each round takes the next images, round and round, and new views of them.

    Args:
        model: the network as the round before left it.
        calibration: all images.
        plan: which weights, how many images, what the gradients are of.
        number: of the round.
        rows: of A; all when None.
        objective: of the dense network; says what the loss is.
        augmentation: of which views are taken, where the configuration asks for them.
        keep_in: see `chita_edge.calibration.per_sample_gradients`.
        progress: called with "gradients".

    Raises:
        UsageError: the gradients are of a loss, and there are no labels.
    """
    config = plan.config
    total, taken = len(calibration.images), round_images(calibration, config)
    rows = slice(0, taken // config.samples_per_row) if rows is None else rows
    first, last = (row * config.samples_per_row for row in (rows.start, rows.stop))
    offset = number * taken % total
    start, stop = offset + first, offset + last
    # A view where it can be: a thousand large images need not be in memory twice.
    chosen = slice(start, stop) if stop <= total else torch.arange(start, stop) % total
    images, labels = calibration.images[chosen], None if calibration.labels is None else calibration.labels[chosen]
    augmented = config.augment and augmentation != PLAIN and len(images) > 0 and are_images(images)
    count = plan.gradient_views if augmented else 1
    seed = (config.seed * 1000 + number) * 1_000_003 + start * count
    if augmented and isinstance(images, torch.Tensor):
        check_images(images, None)  # before a shift hides what is wrong
        dark = darkest(calibration.images)
        # Each view has a generator of its own: it does not depend on who takes which rows.
        views = images.new_empty(count * len(images), *images.shape[1:]).contiguous(memory_format=torch.channels_last)
        for view in range(len(views)):
            rng, place = torch.Generator().manual_seed(seed + view), view // count
            (views[view],) = input_tensors(augmentation.views(images[place : place + 1], rng, dark))[0]
        images, labels = views, None if labels is None else labels.repeat_interleave(count)
    loss: Loss = objective.loss
    if plan.curvature != "loss":
        # Far from the seeds of the views, so that directions and views are independent.
        softmax = plan.curvature == "outputs"
        loss, labels = OutputCurvature(seed + 500_000, objective.outputs, softmax), torch.arange(len(images))
    if labels is None:
        raise UsageError(
            f"The method {config.method!r} is to go by the loss, so it needs labels. Give labels, or leave the "
            "curvature to the outputs, which need none."
        )
    return per_sample_gradients(
        model,
        images,
        labels,
        plan.names,
        batch_size=config.gradient_batch,
        samples_per_row=config.samples_per_row * count,
        memory_budget_bytes=config.memory_budget_bytes,
        scratch_dir=config.scratch_dir,
        storage=_STORAGE[config.gradient_storage],
        keep_in=keep_in,
        progress=progress,
        loss=loss,
    )


def no_gradients(model: nn.Module, names: Sequence[str]) -> GradientMatrix:
    """The matrix without samples, (p, 0), for solvers that need none."""
    sizes = {name: model.get_parameter(name).numel() for name in names}
    return GradientMatrix({name: torch.empty(size, 0) for name, size in sizes.items()}, on_disk=False)


def mean_curvature(layers: Sequence[Layer]) -> float:
    """Mean diagonal of the empirical Fisher n⁻¹AᵀA: the scale of the curvature, and the unit of the ridge."""
    squares = sum(float(squared_norms(layer.gradients).sum(dtype=torch.float64)) for layer in layers)
    return squares / max(1, sum(layer.gradients.shape.numel() for layer in layers))
