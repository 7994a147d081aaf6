"""How far one network's predictions are from another's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from torch import nn

_BATCH = 100


def divergence(model: nn.Module, dense: nn.Module, images: torch.Tensor) -> float:
    """Mean KL(dense ‖ model) of the predicted class probabilities, in nats; both in evaluation mode."""
    total = 0.0
    with torch.no_grad():
        for start in range(0, len(images), _BATCH):
            batch = images[start : start + _BATCH]
            log_model, log_dense = (functional.log_softmax(network(batch), dim=-1) for network in (model, dense))
            total += float(functional.kl_div(log_model, log_dense, reduction="sum", log_target=True))
    return total / len(images)
