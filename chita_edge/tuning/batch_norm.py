"""Recompute batch-norm statistics of a pruned network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from chita_edge.network.batch import run_batch
from chita_edge.progress import Progress, silent
from chita_edge.tuning.views import Augmentation, darkest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chita_edge.network.inputs import Batch


def has_statistics(model: nn.Module) -> bool:
    """Whether there is anything to recalibrate."""
    return bool(_norms(model))


def recalibrate_batch_norm(
    model: nn.Module,
    images: Batch,
    *,
    views: int = 1,
    augmentation: Augmentation | None = None,
    batch_size: int = 100,
    seed: int = 0,
    progress: Progress = silent,
) -> None:
    """Replace every running mean and variance by the plain average over the images' batches; changes ``model``.

    Only batch norm is put into training mode, so that dropout stays off; modes and momenta are restored. A network
    without batch norm is left as it is.

    Args:
        model: any network.
        images: float32 (n, …), in no particular order.
        views: how often the images pass.
        augmentation: new views of them in every pass. A small calibration set needs those that the network was trained
            on, see `infer_training_augmentation`: its plain statistics are sharper than the training set's were. None
            for the images as they are.
        batch_size: images a batch; a last batch of less than half of it is joined to the one before.
        seed: of shifts, flips and batches.
        progress: called with stage "batch norm".

    """
    norms = _norms(model)
    modes = {module: module.training for module in model.modules()}
    momenta = [norm.momentum for norm in norms]
    if not norms:
        return
    try:
        model.eval()
        for norm in norms:
            norm.train()
            norm.reset_running_stats()
            norm.momentum = None  # cumulative average
        progress("batch norm", 0, views * len(images))
        done = 0
        with torch.no_grad():
            for batch in _batches(images, views, augmentation, batch_size, torch.Generator().manual_seed(seed)):
                run_batch(model, batch)
                done += len(batch)
                progress("batch norm", done, views * len(images))
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for module, training in modes.items():
            module.training = training


def _norms(model: nn.Module) -> list[_BatchNorm]:
    return [module for module in model.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]


def _batches(
    images: Batch, views: int, augmentation: Augmentation | None, batch_size: int, rng: torch.Generator
) -> Iterator[Batch]:
    count = max(1, round(len(images) / batch_size))
    dark = darkest(images) if augmentation is not None and augmentation.dark else None
    for _ in range(views):
        order = torch.randperm(len(images), generator=rng)
        for chosen in order.tensor_split(count):
            batch = images[chosen]
            yield batch if augmentation is None else augmentation.views(batch, rng, dark)
