"""The Gauss-Newton matrix of a network's logits, as an average of per-sample gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from chita_edge.network.batch import output_tensors


@dataclass(frozen=True)
class LogitCurvature:
    """One value a sample, u·z with z the logits and u ~ N(0, I) drawn for that sample; labels play no part.

    With J = ∂z/∂w the expected square of its gradient Jᵀu is JᵀJ, the Hessian of ½‖z − z̄‖² where z still is z̄: how
    weights move the network's answers (Schraudolph 2002, section 3; Martens 2020, arXiv 1412.1193, section 9.2). A
    trained network is certain of nearly all calibration images; the gradients of its loss on those vanish, and the
    empirical Fisher is that of the few others. Here each image counts.

    Attributes:
        seed: of the directions; sample i is given that of seed + i.
        scales: mean square of each of several output tensors, see `Objective`; 1 when None.
    """

    seed: int
    scales: tuple[float, ...] | None = None

    def __call__(self, outputs: Any, numbers: torch.Tensor) -> torch.Tensor:
        """Values (batch,) for the outputs of the samples with these numbers, int64 (batch,).

        Outputs are logits (batch, …), or several tensors, each then in units of its own scale.
        """
        tensors = output_tensors(outputs, len(numbers))
        if len(tensors) == 1:
            flat = tensors[0].reshape(len(numbers), -1)
        else:
            scales = self.scales or (1.0,) * len(tensors)
            flat = torch.cat(
                [
                    tensor.reshape(len(numbers), -1) / (scale * tensor[0].numel()) ** 0.5
                    for tensor, scale in zip(tensors, scales, strict=True)
                ],
                1,
            )
        directions = torch.stack(
            [
                torch.randn(flat.shape[1], generator=torch.Generator().manual_seed(self.seed + number))
                for number in numbers.tolist()
            ]
        )
        return (directions * flat).sum(1)
