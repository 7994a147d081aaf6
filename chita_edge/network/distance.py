"""Distance between the outputs of two networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from chita_edge.network.batch import output_tensors, run_batch
from chita_edge.network.inputs import Batch
from chita_edge.network.objective import Objective, find_objective

if TYPE_CHECKING:
    from torch import nn

_BATCH = 100


@dataclass(frozen=True)
class Answers:
    """A network's outputs on some images, for comparison with those of others.

    Attributes:
        images: (n, …), as a network takes them.
        batches: output tensors, for 100 images each.
        objective: of the network.
    """

    images: Batch
    batches: tuple[tuple[torch.Tensor, ...], ...]
    objective: Objective

    @classmethod
    def of(cls, network: nn.Module, images: Batch, objective: Objective | None = None) -> Answers:
        """Outputs of a network in evaluation mode; its objective is found on the images when None."""
        objective = objective or find_objective(network, images)
        with torch.no_grad():
            batches = [output_tensors(run_batch(network, batch), len(batch)) for batch in images.split(_BATCH)]
        return cls(images, tuple(batches), objective)

    def divergence(self, model: nn.Module) -> float:
        """Mean distance of the model's outputs from these, see `Objective.distance`; in evaluation mode."""
        total = 0.0
        with torch.no_grad():
            for batch, known in zip(self.images.split(_BATCH), self.batches, strict=True):
                found = output_tensors(run_batch(model, batch), len(batch))
                total += float(self.objective.distance(found, known)) * len(batch)
        return total / len(self.images)


def divergence(model: nn.Module, dense: nn.Module, images: Batch, objective: Objective | None = None) -> float:
    """Mean distance of the model's outputs from the dense network's; both in evaluation mode.

    Args:
        model: any network with the dense one's outputs.
        dense: what it is compared with.
        images: at least one.
        objective: says what distance is, see `Objective.distance`; found from the dense network's outputs when None.
    """
    return Answers.of(dense, images, objective).divergence(model)
