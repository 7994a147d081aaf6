"""A batch of samples as ONNX Runtime takes it, and a network's outputs as it gives them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from chita_edge.network.batch import all_tensors, run_batch
from chita_edge.network.inputs import Batch, input_tensors

if TYPE_CHECKING:
    import onnxruntime
    from torch import nn


def feeds(session: onnxruntime.InferenceSession, batch: Batch) -> dict[str, NDArray[Any]]:
    """Arrays by the names of the model's inputs: by their own names where the batch has any, else in order."""
    names = [entry.name for entry in session.get_inputs()]
    given = None if isinstance(batch, torch.Tensor) else batch.names
    if given is not None and set(given) == set(names):
        names = list(given)
    return {name: tensor.cpu().numpy() for name, tensor in zip(names, input_tensors(batch), strict=True)}


def fixed_batch(session: onnxruntime.InferenceSession) -> int | None:
    """Number of samples that the model takes at a time, where it fixes that."""
    firsts = {entry.shape[0] for entry in session.get_inputs() if entry.shape}
    return next((size for size in firsts if isinstance(size, int)), None)


def outputs_of(session: onnxruntime.InferenceSession, batch: Batch) -> list[NDArray[Any]]:
    """All outputs of a model for any number of samples; so many at a time as it takes where it fixes that.

    What is missing from the last run of a fixed batch is filled up with the last sample.
    """
    size, count = fixed_batch(session), len(batch)
    parts = [
        [np.asarray(output) for output in session.run(None, feeds(session, part))]
        for part in ([batch] if size is None else in_parts(batch, size))
    ]
    if size is None:
        return parts[0]
    return [np.concatenate(same)[:count] for same in zip(*parts, strict=True)]


def in_parts(batch: Batch, size: int) -> Iterator[Batch]:
    """The samples, ``size`` at a time; the last part is filled up with the last sample."""
    for start in range(0, len(batch), size):
        yield batch[torch.arange(start, start + size).clamp(max=len(batch) - 1)]


def for_check(session: onnxruntime.InferenceSession, batch: Batch) -> Batch:
    """Samples to check a model on, as many as it takes at a time where it fixes that."""
    size = fixed_batch(session)
    return batch if size is None else next(in_parts(batch, size))


def answers(model: nn.Module, batch: Batch) -> list[NDArray[Any]]:
    """All output tensors of a torch network, in the order of its exported file."""
    with torch.inference_mode():
        outputs = run_batch(model.eval(), batch)
    return [np.asarray(tensor.cpu().numpy()) for tensor in all_tensors(outputs)]
