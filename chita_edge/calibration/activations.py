"""Moments of a layer's inputs, in a network pruned so far and in the dense one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from chita_edge.calibration.errors import CalibrationError, NonFiniteCalibrationError
from chita_edge.calibration.position_columns import position_columns, position_count
from chita_edge.pruning.gram import bfloat16_pays

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

_LEAST_COLUMNS = 64
_LEAST_POSITIONS = 1024


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
    inputs: Sequence[torch.Tensor],
    dense_inputs: Sequence[torch.Tensor],
    *,
    centred: bool = False,
    batch_size: int = 50,
    positions: int = 1 << 17,
) -> InputMoments:
    """Moments of one layer's inputs.

    Neighbouring output positions see nearly the same inputs: where there are more than enough, each batch contributes
    every so many of them, from a start of its own.

    Args:
        name: of the layer's weight, for messages.
        layer: ``nn.Linear`` or ungrouped ``nn.Conv2d``.
        inputs: what the pruned network gives the layer, batch first, in one or several pieces.
        dense_inputs: what the dense network gives it for the same images, in the same pieces.
        centred: subtract the means first.
        batch_size: images whose columns are formed at a time.
        positions: about so many positions are enough, over all images; 64 a column of the layer are always used.

    Raises:
        NonFiniteCalibrationError: an input is NaN or infinite.
        CalibrationError: the layer is grouped.
    """
    if getattr(layer, "groups", 1) != 1:
        raise CalibrationError(f"{name} belongs to a grouped convolution, which cannot be refitted. Keep it dense.")
    pieces, dense_pieces = (
        [piece for tensor in tensors for piece in torch.split(tensor, batch_size)] for tensors in (inputs, dense_inputs)
    )
    available = position_count(layer, pieces[0])
    columns_of_weight = layer.weight[0].numel()  # type: ignore[index]
    step = max(1, available * sum(map(len, pieces)) // max(positions, 64 * columns_of_weight))
    step = min(step - (step % 2 == 0), available)  # odd, so that it does not stay on the same columns of an image
    gram = cross = shift = dense_shift = total = dense_total = torch.zeros(())
    used = 0
    for number, pair in enumerate(zip(pieces, dense_pieces, strict=True)):
        x, reference = (position_columns(layer, piece, number % step, step) for piece in pair)
        if centred and not number:  # near the mean: taken off before the product, so that little cancels afterwards
            shift, dense_shift = x.mean(1), reference.mean(1)
        x, reference = x - shift[..., None], reference - dense_shift[..., None]
        total, dense_total = total + x.sum(1), dense_total + reference.sum(1)
        used += x.shape[1]
        square, mixed = _products(x, reference)
        gram, cross = gram + square, cross + mixed
    if not bool(torch.isfinite(gram).all() and torch.isfinite(cross).all()):
        raise NonFiniteCalibrationError(f"The inputs of {name} are not finite for the calibration images.")
    rest, dense_rest = total / used, dense_total / used
    gram, cross = gram / used, cross / used
    if centred:
        gram, cross = gram - torch.outer(rest, rest), cross - torch.outer(dense_rest, rest)
    return InputMoments(gram, cross, shift + rest, dense_shift + dense_rest)


def _products(x: torch.Tensor, reference: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """X xᵀ and x̄ xᵀ, in bfloat16 where the processor gains by it: positions by the thousand average its rounding."""
    if bfloat16_pays() and len(x) >= _LEAST_COLUMNS and x.shape[1] >= _LEAST_POSITIONS:
        x, reference = x.bfloat16(), reference.bfloat16()
        return (x @ x.T).float(), (reference @ x.T).float()
    return x @ x.T, reference @ x.T
