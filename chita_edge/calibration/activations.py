"""Moments of a layer's inputs, in a network pruned so far and in the dense one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from chita_edge.calibration.errors import CalibrationError, NonFiniteCalibrationError
from chita_edge.calibration.layer_gradients import unfold_input

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class InputMoments:
    """Means over all samples and positions, K = in · kh · kw; float32.

    Attributes:
        gram: x xᵀ of the pruned network's inputs x, (K, K); of their deviations from the mean if centred.
        cross: x̄ xᵀ with x̄ the dense network's inputs, (K, K); likewise.
        mean: x, (K,).
        dense_mean: x̄, (K,).
    """

    gram: torch.Tensor
    cross: torch.Tensor
    mean: torch.Tensor
    dense_mean: torch.Tensor


def input_moments(
    name: str,
    layer: nn.Module,
    inputs: torch.Tensor,
    dense_inputs: torch.Tensor,
    *,
    centred: bool = False,
    batch_size: int = 50,
) -> InputMoments:
    """Moments of one layer's inputs.

    Args:
        name: of the layer's weight, for messages.
        layer: ``nn.Linear`` or ungrouped ``nn.Conv2d``.
        inputs: what the pruned network gives the layer, batch first.
        dense_inputs: what the dense network gives it for the same images.
        centred: subtract the means first.
        batch_size: images unfolded at a time.

    Raises:
        NonFiniteCalibrationError: an input is NaN or infinite.
        CalibrationError: the layer is grouped.
    """
    if getattr(layer, "groups", 1) != 1:
        raise CalibrationError(f"{name} belongs to a grouped convolution, which cannot be refitted. Keep it dense.")

    def columns(tensor: torch.Tensor, start: int) -> torch.Tensor:
        return unfold_input(layer, tensor[start : start + batch_size])[:, 0].transpose(0, 1).flatten(1)

    starts = range(0, len(inputs), batch_size)
    positions = sum(columns(inputs, start).shape[1] for start in starts)
    mean, dense_mean = (
        torch.stack([columns(tensor, start).sum(1) for start in starts]).sum(0) / positions
        for tensor in (inputs, dense_inputs)
    )
    gram = cross = torch.zeros(())
    for start in starts:
        x, reference = columns(inputs, start), columns(dense_inputs, start)
        if centred:  # before the product: subtracting the means' product afterwards cancels
            x, reference = x - mean[:, None], reference - dense_mean[:, None]
        gram = gram + x @ x.T
        cross = cross + reference @ x.T
    if not bool(torch.isfinite(gram).all() and torch.isfinite(cross).all()):
        raise NonFiniteCalibrationError(f"The inputs of {name} are not finite for the calibration images.")
    return InputMoments(gram / positions, cross / positions, mean, dense_mean)
