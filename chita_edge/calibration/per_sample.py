"""Per-sample gradients of a network's prunable weights: the matrix A of the empirical Fisher."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch.nn import functional

from chita_edge.calibration.checks import check_images, check_weights
from chita_edge.calibration.errors import CalibrationError, NonFiniteCalibrationError
from chita_edge.calibration.gradient_matrix import GradientMatrix, ScratchFile
from chita_edge.calibration.layer_gradients import weight_gradients
from chita_edge.calibration.taps import TappedNetwork
from chita_edge.progress import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import nn

    from chita_edge.calibration.taps import Loss

_BYTES = 4  # float32


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """One value a sample: −log softmax(logits)[label]."""
    return functional.cross_entropy(logits, labels, reduction="none")


@dataclass(frozen=True)
class _Slice:
    """Some output channels of a layer, the unit that a pass over the images fills."""

    layer: str
    channels: slice
    weights: int


def per_sample_gradients(
    model: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    names: Sequence[str],
    *,
    batch_size: int = 25,
    samples_per_row: int = 1,
    memory_budget_bytes: int = 4 << 30,
    scratch_dir: Path | None = None,
    progress: Progress = silent,
    loss: Loss = cross_entropy,
) -> GradientMatrix:
    """Gradients of each sample's loss by the weights of the named layers.

    When the matrix exceeds ``memory_budget_bytes`` it goes to anonymous files in ``scratch_dir``: the layers are
    cut into groups that fit, each group costs one more pass over the images, and each file is written once, front to
    back.

    Args:
        model: any network with BN in evaluation mode; it is copied, not changed.
        images: float32 (n, …), what the network takes.
        labels: int64 (n,).
        names: weights of ``nn.Linear`` and ``nn.Conv2d`` layers, as in ``named_parameters``.
        batch_size: images a forward pass; a multiple of ``samples_per_row``, or rounded up to one.
        samples_per_row: average the gradients of so many neighbouring images into one row of A; divides n.
        memory_budget_bytes: how much memory the matrix, or one group of it, may take.
        scratch_dir: where files go when memory does not suffice; the system's temporary folder when None.
        progress: called with stage "gradients".
        loss: ``loss(logits, labels)`` with one value a sample.

    Returns:
        The matrix; its blocks are named as ``names``.

    Raises:
        NonFiniteCalibrationError: a weight, image or gradient is NaN or infinite; the message names layer and sample.
        CalibrationError: a layer that is unknown, of another kind or unused, or labels and images that do not fit.
        ScratchSpaceError: the scratch folder cannot be written or is full.

    """
    check_weights(model)
    check_images(images, labels)
    if samples_per_row < 1 or len(images) % samples_per_row:
        raise CalibrationError(f"{len(images)} samples cannot be averaged in groups of {samples_per_row}.")
    network = TappedNetwork(model, names)
    rows = len(images) // samples_per_row
    step = -(-batch_size // samples_per_row) * samples_per_row
    sizes = {name: _weight(module).numel() for name, module in network.layers.items()}
    on_disk = sum(sizes.values()) * rows * _BYTES > memory_budget_bytes
    groups = _groups(network, memory_budget_bytes // (rows * _BYTES) if on_disk else sum(sizes.values()))

    files: dict[str, ScratchFile] = {}
    parts: dict[str, torch.Tensor] = {}
    try:
        if on_disk:
            files.update((name, ScratchFile(scratch_dir)) for name in names)
        progress("gradients", 0, len(groups) * len(images))
        for number, group in enumerate(groups):
            filled = [torch.empty(part.weights, rows) for part in group]
            for start in range(0, len(images), step):
                stop = min(start + step, len(images))
                calls = network.read(images[start:stop], labels[start:stop], loss)
                where = slice(start // samples_per_row, stop // samples_per_row)
                for part, target in zip(group, filled, strict=True):
                    first, *others = (
                        weight_gradients(
                            network.layers[part.layer], c.inputs, c.output_gradients, part.channels, samples_per_row
                        )
                        for c in calls[part.layer]
                    )
                    gradient = sum(others, start=first)
                    _check_finite(part.layer, gradient, start, samples_per_row)
                    target[:, where] = (gradient if samples_per_row == 1 else gradient / samples_per_row).T
                progress("gradients", number * len(images) + stop, len(groups) * len(images))
            for part, target in zip(group, filled, strict=True):
                if on_disk:
                    files[part.layer].append(target)
                else:
                    parts[part.layer] = target
        if on_disk:
            parts = {name: files[name].map(sizes[name], rows) for name in names}
    finally:
        for file in files.values():
            file.close()
    return GradientMatrix({name: parts[name] for name in names}, on_disk)


def _groups(network: TappedNetwork, weights_per_group: int) -> list[list[_Slice]]:
    """Cut the layers, in order, into groups of at most so many weights; one output channel is never cut."""
    groups: dict[int, list[_Slice]] = defaultdict(list)
    number, room = 0, weights_per_group
    for name, module in network.layers.items():
        weight = _weight(module)
        channels = weight.shape[0]
        per_channel = weight.numel() // channels
        whole = getattr(module, "groups", 1) > 1
        start = 0
        while start < channels:
            fits = room // per_channel
            if (fits < 1 or (whole and fits < channels)) and groups[number]:
                number, room = number + 1, weights_per_group
                continue
            count = channels if whole else min(max(fits, 1), channels - start)
            groups[number].append(_Slice(name, slice(start, start + count), count * per_channel))
            start += count
            room -= count * per_channel
    return list(groups.values())


def _weight(module: nn.Module) -> torch.Tensor:
    return cast("torch.Tensor", module.weight)


def _check_finite(layer: str, gradients: torch.Tensor, first_sample: int, samples_per_row: int) -> None:
    if bool(torch.isfinite(gradients.sum())):
        return
    bad = (~torch.isfinite(gradients)).any(1).nonzero()
    if len(bad):
        sample = first_sample + int(bad[0]) * samples_per_row
        raise NonFiniteCalibrationError(
            f"The gradient of {layer} is not finite for calibration sample {sample}. Check that image and the "
            "network's weights and batch-norm statistics."
        )
