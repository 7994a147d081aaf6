"""Per-sample gradients of a network's prunable weights: the matrix A of the empirical Fisher."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from chita_edge.calibration.sinks import AnonymousSink, FolderSink, GradientSink, MemorySink
from chita_edge.network.batch import check_images, check_weights
from chita_edge.network.capture import LayerCapture
from chita_edge.network.errors import CalibrationError, NonFiniteCalibrationError
from chita_edge.network.objective import cross_entropy
from chita_edge.progress import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import nn

    from chita_edge.calibration.gradient_matrix import GradientMatrix
    from chita_edge.network.capture import CapturedCall, Loss
    from chita_edge.network.inputs import Batch


__all__ = ["cross_entropy", "per_sample_gradients"]


def per_sample_gradients(
    model: nn.Module,
    images: Batch,
    labels: torch.Tensor | None,
    names: Sequence[str],
    *,
    batch_size: int = 25,
    samples_per_row: int = 1,
    memory_budget_bytes: int = 4 << 30,
    scratch_dir: Path | None = None,
    storage: torch.dtype = torch.float32,
    keep_in: tuple[Path, str] | None = None,
    progress: Progress = silent,
    loss: Loss = cross_entropy,
) -> GradientMatrix:
    """Gradients of each sample's loss by the weights of the named layers, in one pass over the images.

    When the matrix exceeds ``memory_budget_bytes`` it goes to an anonymous file in ``scratch_dir``, batch by batch, and
    is read back a window of coordinates at a time. With ``keep_in`` it always goes to files, one a batch, and batches
    whose files are there already are not computed again.

    Args:
        model: any network with BN in evaluation mode; it is copied, not changed.
        images: float32 (n, …), what the network takes.
        labels: int64 (n,), or whatever the loss compares with, one entry a sample.
        names: of parameters that the network passes to linear or convolution, as in ``named_parameters``.
        batch_size: images a forward pass; a multiple of ``samples_per_row``, or rounded up to one. All activations of a
            batch are in memory at once.
        samples_per_row: average the gradients of so many neighbouring images into one row of A; divides n.
        memory_budget_bytes: how much memory the matrix may take.
        scratch_dir: where the file goes when memory does not suffice; the system's temporary folder when None.
        storage: float32 or bfloat16, of gradients on disk; in memory they are float32.
        keep_in: a folder for finished batches, and a fingerprint of all that the gradients depend on.
        progress: called with stage "gradients".
        loss: ``loss(logits, labels)`` with one value a sample.

    Returns:
        The matrix; its blocks are named as ``names``.

    Raises:
        NonFiniteCalibrationError: a weight, image or gradient is NaN or infinite; the message names layer and sample.
        CalibrationError: a weight that is unknown, unused, or used by other means than linear and convolution; samples
            of a batch that touch each other; labels and images that do not fit.
        ScratchSpaceError: the folder cannot be written or is full.
        StateError: a file in ``keep_in`` is damaged or of other gradients.

    """
    check_weights(model)
    check_images(images, labels)
    if samples_per_row < 1 or len(images) % samples_per_row:
        raise CalibrationError(f"{len(images)} samples cannot be averaged in groups of {samples_per_row}.")
    network = LayerCapture(model, names)
    rows = len(images) // samples_per_row
    step = -(-batch_size // samples_per_row)
    batches = [slice(start, min(start + step, rows)) for start in range(0, rows, step)]
    sizes = network.sizes()
    sink: GradientSink
    if keep_in is not None:
        sink = FolderSink(sizes, batches, keep_in[0], storage, keep_in[1])
    elif sum(sizes.values()) * rows * torch.float32.itemsize > memory_budget_bytes:
        sink = AnonymousSink(sizes, batches, scratch_dir, storage)
    else:
        sink = MemorySink(sizes, batches)

    progress("gradients", 0, len(images))
    for number, batch in enumerate(batches):
        start, stop = batch.start * samples_per_row, batch.stop * samples_per_row
        if not sink.holds(number):
            calls = network.read(images[start:stop], None if labels is None else labels[start:stop], loss)
            with sink.batch(number) as write:
                for name in network.names:
                    gradient = _row_gradients(calls.pop(name), samples_per_row).cpu()
                    _check_finite(name, gradient, start, samples_per_row)
                    write(name, gradient)
        progress("gradients", stop, len(images))
    return sink.finish()


def _row_gradients(calls: list[CapturedCall], samples_per_row: int) -> torch.Tensor:
    """Rows of A for one weight, (rows, p_l): summed over its calls, averaged over a row's samples."""
    first, *others = (call.gradients(samples_per_row) for call in calls)
    gradient = sum(others, start=first)
    return gradient if samples_per_row == 1 else gradient / samples_per_row


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
