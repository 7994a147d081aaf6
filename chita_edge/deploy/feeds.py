"""A batch of samples as ONNX Runtime takes it, and a network's outputs as it gives them."""

from __future__ import annotations

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


def answers(model: nn.Module, batch: Batch) -> list[NDArray[Any]]:
    """All output tensors of a torch network, in the order of its exported file."""
    with torch.inference_mode():
        outputs = run_batch(model.eval(), batch)
    return [np.asarray(tensor.cpu().numpy()) for tensor in all_tensors(outputs)]
