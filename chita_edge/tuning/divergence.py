"""How far one network's predictions are from another's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from torch import nn

_BATCH = 100


@dataclass(frozen=True)
class Answers:
    """A network's predictions on some images, for comparison with those of others.

    Attributes:
        images: (n, …), as a network takes them.
        log_probabilities: of the classes, (n, classes).
    """

    images: torch.Tensor
    log_probabilities: torch.Tensor

    @classmethod
    def of(cls, network: nn.Module, images: torch.Tensor) -> Answers:
        """Those of a network in evaluation mode."""
        with torch.no_grad():
            parts = [functional.log_softmax(network(batch), dim=-1) for batch in torch.split(images, _BATCH)]
        return cls(images, torch.cat(parts) if parts else torch.zeros(0, 1))

    def divergence(self, model: nn.Module) -> float:
        """Mean KL(these ‖ model) of the predicted class probabilities, in nats; ``model`` in evaluation mode."""
        total = 0.0
        with torch.no_grad():
            for batch, known in zip(
                torch.split(self.images, _BATCH), torch.split(self.log_probabilities, _BATCH), strict=True
            ):
                found = functional.log_softmax(model(batch), dim=-1)
                total += float(functional.kl_div(found, known, reduction="sum", log_target=True))
        return total / len(self.images)


def divergence(model: nn.Module, dense: nn.Module, images: torch.Tensor) -> float:
    """Mean KL(dense ‖ model) of the predicted class probabilities, in nats; both in evaluation mode."""
    return Answers.of(dense, images).divergence(model)
