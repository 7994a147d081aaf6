"""One name for a network, its images and how it is to be pruned: what a resumed run must have in common."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import torch

from chita_edge.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn


def fingerprint(model: nn.Module, tensors: Mapping[str, torch.Tensor], options: Mapping[str, Any]) -> str:
    """SHA-256, in hexadecimal, over all that a result depends on.

    Args:
        model: its modules as they print, all parameters and buffers.
        tensors: images, labels and the like.
        options: plain values.
    """
    digest = hashlib.sha256()
    versions = {"chita-edge": __version__, "torch": torch.__version__}
    digest.update(json.dumps([versions, dict(options), repr(model)], sort_keys=True).encode())
    for name, tensor in (*model.state_dict().items(), *tensors.items()):
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
