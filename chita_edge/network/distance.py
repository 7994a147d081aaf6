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
        """Mean distance of the model's outputs from these, for a choice between networks; in evaluation mode.

        As `Objective.distance`, but of classes and binary answers KL at the model's best temperature, so that being
        less sure, which the order of the classes does not suffer from, counts for nothing.
        """
        kinds = self.objective.outputs
        rows: list[list[torch.Tensor]] = [[] for _ in kinds]
        known: list[list[torch.Tensor]] = [[] for _ in kinds]
        errors = [0.0] * len(kinds)
        with torch.no_grad():
            for batch, wanted in zip(self.images.split(_BATCH), self.batches, strict=True):
                found = output_tensors(run_batch(model, batch), len(batch))
                for number, (kind, given, reference) in enumerate(zip(kinds, found, wanted, strict=True)):
                    if kind.kind == "values":
                        errors[number] += float(kind.distance(given, reference)) * len(batch)
                    else:
                        rows[number].append(kind.rows(given))
                        known[number].append(kind.rows(reference))
        parts = [
            kind.judged(torch.cat(rows[number]), torch.cat(known[number])) if rows[number] else error / len(self.images)
            for number, (kind, error) in enumerate(zip(kinds, errors, strict=True))
        ]
        return sum(parts) / len(parts)


def divergence(model: nn.Module, dense: nn.Module, images: Batch, objective: Objective | None = None) -> float:
    """Mean distance of the model's outputs from the dense network's; both in evaluation mode.

    Args:
        model: any network with the dense one's outputs.
        dense: what it is compared with.
        images: at least one.
        objective: says what distance is, see `Objective.distance`; found from the dense network's outputs when None.
    """
    return Answers.of(dense, images, objective).divergence(model)
