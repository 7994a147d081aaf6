"""The Gauss-Newton matrix of a network's outputs, as an average of per-sample gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from chita_edge.network.batch import output_tensors

if TYPE_CHECKING:
    from chita_edge.network.output_kind import OutputKind

_MATRIX = 2


@dataclass(frozen=True)
class OutputCurvature:
    """One value a sample, u·z with z the outputs and u a random direction drawn for that sample; labels play no part.

    With J = ∂z/∂w and u ~ N(0, H) the expected square of its gradient Jᵀu is JᵀHJ, the Gauss-Newton matrix: how weights
    move the network's answers, measured by H (Schraudolph 2002, section 3; Martens 2020, arXiv 1412.1193, section 9.2).
    H is the identity, that of ½‖z − z̄‖², in units of each output's variance where there are several; or that of KL: for
    one vector of class logits diag(p) − ppᵀ with p their softmax, for answers of yes or no p(1 − p).

    A trained network is certain of nearly all calibration images; the gradients of its loss on those vanish, and the
    empirical Fisher is that of the few others. With the identity each image counts.

    Attributes:
        seed: of the directions; sample i is given that of seed + i.
        outputs: kinds of the outputs, for their scales; all in one unit when None.
        softmax: measure one vector of class logits, and answers of yes or no, by KL.
    """

    seed: int
    outputs: tuple[OutputKind, ...] | None = None
    softmax: bool = False

    def __call__(self, outputs: Any, numbers: torch.Tensor) -> torch.Tensor:
        """Values (batch,) for the outputs of the samples with these numbers, int64 (batch,)."""
        tensors = output_tensors(outputs, len(numbers))
        if len(tensors) == 1:
            flat = tensors[0].reshape(len(numbers), -1)
        else:
            scales = [kind.scale for kind in self.outputs] if self.outputs else [1.0] * len(tensors)
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
        ).to(flat)
        kind = self.outputs[0] if self.outputs else None
        if self.softmax and len(tensors) == 1 and kind is not None:
            if tensors[0].ndim == _MATRIX and kind.is_vector_of_classes:
                flat = kind.logits(flat)
                p = flat.detach().softmax(1)
                root = p.sqrt()
                directions = root * directions - (root * directions).sum(1, keepdim=True) * p
            elif kind.kind == "binary":
                flat = kind.logits(flat)
                p = flat.detach().sigmoid()
                directions = (p * (1 - p)).sqrt() * directions
        return (directions * flat).sum(1)
