"""Inputs of a layer in the compressed network and the outputs that are wanted for them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from chita_edge.quantization.graph import Clip


@dataclass(frozen=True)
class Samples:
    """A layer at N output positions.

    Attributes:
        inputs: x of the compressed network, float32 (groups, N, K).
        wanted: t, float32 (N, out): the dense network's output before the activation. Of a layer that only a sum reads,
            after its other part: what the dense sum is, less that other part in the compressed network, so that the
            layer makes up for what the other part has lost.
        beside: r, (N, out): that other part in the compressed network; 0 elsewhere.
    """

    inputs: torch.Tensor
    wanted: torch.Tensor
    beside: torch.Tensor | None = None

    @cached_property
    def mean(self) -> torch.Tensor:
        """μ = E x, (groups, K)."""
        return self.inputs.mean(1)

    @cached_property
    def gram(self) -> torch.Tensor:
        """E (x − μ)(x − μ)ᵀ, (groups, K, K)."""
        centred = self.inputs - self.mean[:, None]
        return centred.mT @ centred / centred.shape[1]

    def target(self, wanted: torch.Tensor) -> torch.Tensor:
        """E (t − E t)(x − μ)ᵀ of given outputs, (out, K)."""
        groups, count, _ = self.inputs.shape
        parts = (wanted - wanted.mean(0)).view(count, groups, -1).permute(1, 2, 0)
        return (parts @ (self.inputs - self.mean[:, None]) / count).flatten(0, 1)

    def outputs(self, weights: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
        """W (x − μ) + E t: outputs of weights (out, K) with the bias that gives them this mean (out,); (N, out)."""
        groups, count, columns = self.inputs.shape
        parts = (self.inputs - self.mean[:, None]) @ weights.view(groups, -1, columns).mT
        return parts.permute(1, 0, 2).reshape(count, -1) + mean

    def wanted_behind(self, clip: Clip, outputs: torch.Tensor) -> torch.Tensor:
        """Wanted outputs once the activation is thought of, from the present ones.

        Where the activation clips the present output y, a small step changes nothing, and y itself is wanted; elsewhere
        what the activation makes of t. With these targets ½‖t − y‖² plus a constant is never less than the error behind
        the activation and equal to it at the present outputs, so each refit to them lowers that error (majorise, then
        minimise).
        """
        beside = 0.0 if self.beside is None else self.beside
        total, present = self.wanted + beside, outputs + beside
        inside = (present > clip.low) & (present < clip.high)
        return torch.where(inside, clip(total), present) - beside
