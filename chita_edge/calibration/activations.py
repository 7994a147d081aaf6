"""Moments of a layer's inputs, in the partly pruned network and in the dense one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from chita_edge.network.errors import CalibrationError, NonFiniteCalibrationError
from chita_edge.network.layer import LayerForm, column_count, position_count, position_rows, weight_order
from chita_edge.pruning.linalg.gram import bfloat16_pays

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chita_edge.calibration.distributed.ranks import Ranks

_LEAST_COLUMNS = 64
_LEAST_POSITIONS = 1024


@dataclass(frozen=True)
class ImageShare:
    """One process's part of the calibration images.

    Attributes:
        ranks: all processes.
        images: number of all images.
        first: number of its first image.
    """

    ranks: Ranks
    images: int
    first: int


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


@dataclass(frozen=True)
class InputSums:
    """Sums over samples and positions of x − shift and x̄ − dense_shift, from which the moments follow."""

    gram: torch.Tensor
    cross: torch.Tensor
    total: torch.Tensor
    dense_total: torch.Tensor
    shift: torch.Tensor
    dense_shift: torch.Tensor
    used: int
    centred: bool

    def __add__(self, other: InputSums) -> InputSums:
        """Sums over both, of the inputs of another call of the same layer; neither may be centred."""
        assert not self.centred and not other.centred  # noqa: S101 (each would have a shift of its own)
        return InputSums(
            self.gram + other.gram,
            self.cross + other.cross,
            self.total + other.total,
            self.dense_total + other.dense_total,
            self.shift,
            self.dense_shift,
            self.used + other.used,
            centred=False,
        )

    def moments(self, name: str) -> InputMoments:
        """The means.

        Raises:
            NonFiniteCalibrationError: an input is NaN or infinite; ``name`` is the layer's for the message.
        """
        if not bool(torch.isfinite(self.gram).all() and torch.isfinite(self.cross).all()):
            raise NonFiniteCalibrationError(f"The inputs of {name} are not finite for the calibration images.")
        rest, dense_rest = self.total / self.used, self.dense_total / self.used
        gram, cross = self.gram / self.used, self.cross / self.used
        if self.centred:
            gram, cross = gram - torch.outer(rest, rest), cross - torch.outer(dense_rest, rest)
        return InputMoments(gram, cross, self.shift + rest, self.dense_shift + dense_rest)


def input_sums(
    name: str,
    form: LayerForm,
    inputs: Sequence[torch.Tensor],
    dense_inputs: Sequence[torch.Tensor],
    *,
    centred: bool = False,
    batch_size: int = 50,
    positions: int = 1 << 17,
    share: ImageShare | None = None,
) -> InputSums:
    """Sums over one layer's inputs.

    Neighbouring output positions see nearly the same inputs: where there are more than enough, each batch contributes
    every so many of them, from a start of its own.

    Args:
        name: of the layer's weight, for messages.
        form: of the layer.
        inputs: what the pruned network gives the layer, batch first, in one or several pieces.
        dense_inputs: what the dense network gives it for the same images, in the same pieces.
        centred: subtract the means first.
        batch_size: images whose columns are formed at a time.
        positions: about so many positions are enough, over all images; 64 a column of the layer are always used.
        share: which of all images these are, where several processes have some each; all of them call this, and the
            sums over all images are the leading one's, the others' are undefined.

    Raises:
        CalibrationError: the layer is grouped.
    """
    if getattr(form, "groups", 1) != 1:
        raise CalibrationError(f"{name} belongs to a grouped convolution, which cannot be refitted. Keep it dense.")
    pieces, dense_pieces = (
        [piece for tensor in tensors for piece in torch.split(tensor, batch_size)] for tensors in (inputs, dense_inputs)
    )
    available = position_count(form, pieces[0])
    columns_of_weight = column_count(form, pieces[0])
    images = sum(map(len, pieces)) if share is None else share.images
    step = max(1, available * images // max(positions, 64 * columns_of_weight))
    step = min(step - (step % 2 == 0), available)  # odd, so that it does not stay on the same columns of an image
    gram = cross = shift = dense_shift = total = dense_total = torch.zeros(())
    used, first = 0, 0 if share is None else share.first // batch_size
    for number, pair in enumerate(zip(pieces, dense_pieces, strict=True)):
        x, reference = (position_rows(form, piece, (first + number) % step, step) for piece in pair)
        if centred and not number:  # near the mean: taken off before the product, so that little cancels afterwards
            near = torch.stack((x.mean(0), reference.mean(0)))
            shift, dense_shift = near if share is None else share.ranks.broadcast(near.cpu()).to(near)
        if centred:
            x, reference = x - shift, reference - dense_shift
        total, dense_total = total + x.sum(0), dense_total + reference.sum(0)
        used += len(x)
        square, mixed = _products(x, reference)
        gram, cross = gram + square, cross + mixed
    gram, cross, total, dense_total, shift, dense_shift = (
        sums.cpu() for sums in (gram, cross, total, dense_total, shift, dense_shift)
    )
    if share is not None:
        gram, cross, total, dense_total = (share.ranks.reduce(sums) for sums in (gram, cross, total, dense_total))
        used = int(share.ranks.reduce(torch.tensor(used)))
    order = weight_order(form, columns_of_weight)
    if order is not None and gram.dim():
        gram, cross = (matrix[order][:, order] for matrix in (gram, cross))
        total, dense_total = total[order], dense_total[order]
        if centred:
            shift, dense_shift = shift[order], dense_shift[order]
    return InputSums(gram, cross, total, dense_total, shift, dense_shift, used, centred)


def _products(x: torch.Tensor, reference: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Sums of x xᵀ and x̄ xᵀ over rows, in bfloat16 where the processor gains: thousands average its rounding."""
    if x.device.type == "cpu" and bfloat16_pays() and x.shape[1] >= _LEAST_COLUMNS and len(x) >= _LEAST_POSITIONS:
        x, reference = x.bfloat16(), reference.bfloat16()
        return (x.T @ x).float(), (reference.T @ x).float()
    return x.T @ x, reference.T @ x
