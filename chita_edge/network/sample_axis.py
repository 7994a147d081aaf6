"""Dimension of a layer's input along which the samples of a batch lie, and whether they stay apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from chita_edge.network.batch import output_tensors, run_batch
from chita_edge.network.calls import LayerCalls, check_used
from chita_edge.network.errors import CalibrationError
from chita_edge.network.layer import LayerForm, Linear

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from torch import nn

    from chita_edge.network.inputs import Batch

    Call = tuple[str, LayerForm, torch.Tensor]
    Run = tuple[list[Call], tuple[torch.Tensor, ...]]

# Rounding of other batch sizes is far below, what another sample does to a batch's statistics far above.
_TOLERANCE = 3e-3


@dataclass(frozen=True)
class SampleAxis:
    """The dimension of one call's input, and output, along which the samples lie.

    Attributes:
        dimension: 0, or another one of a linear layer, such as 1 of (time, batch, features).
        entries: neighbouring ones along it that belong to a sample, such as its windows.
    """

    dimension: int
    entries: int

    def first(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor with the samples first."""
        return tensor.movedim(self.dimension, 0) if self.dimension else tensor


def sample_axes(model: nn.Module, names: Sequence[str], images: Batch) -> tuple[SampleAxis, ...] | None:
    """The sample axis of each call with the chosen weights, from one sample alone and with another one beside it.

    None where the samples of a batch cannot be told apart: a batch norm without running statistics lets them touch each
    other, a layer mixes them along a dimension, or the network takes one sample only.

    Args:
        model: in evaluation mode.
        names: of the weights.
        images: some samples; the first two are used.

    Raises:
        CalibrationError: a weight is never used, or also by other means than linear and convolution; or the network
            answers the same sample differently each time.
    """
    alone, calls = _run(model, names, images[:1])
    check_used(names, (name for name, *_ in alone[0]), calls)
    again, _ = _run(model, names, images[:1])
    if not _same(alone, again, (SampleAxis(0, len(inputs)) for _, _, inputs in alone[0])):
        raise CalibrationError(
            f"The network {type(model).__name__} answers the same sample differently each time: it draws random "
            "numbers in evaluation mode. Let its forward look at self.training, as nn.Dropout does."
        )
    both = images[:2] if len(images) > 1 else images[torch.zeros(2, dtype=torch.int64)]
    try:
        beside, _ = _run(model, names, both)
    except CalibrationError:
        return None
    if calls.batch_statistics or [name for name, *_ in alone[0]] != [name for name, *_ in beside[0]]:
        return None
    axes = [_axis(one, two) for one, two in zip(alone[0], beside[0], strict=True)]
    known = tuple(axis for axis in axes if axis is not None)
    if len(known) < len(axes) or not _same(alone, beside, known):
        return None
    if len(images) > 1:  # either may be the one that shows in the other, such as by the largest number of both
        other, _ = _run(model, names, images[1:2])
        if [name for name, *_ in other[0]] != [name for name, *_ in alone[0]] or not _same(other, beside, known, 1):
            return None
    return known


def _run(model: nn.Module, names: Sequence[str], batch: Batch) -> tuple[Run, LayerCalls]:
    found: list[Call] = []

    def keep(name: str, form: LayerForm, inputs: torch.Tensor, compute: Callable[[], torch.Tensor]) -> torch.Tensor:
        found.append((name, form, inputs.detach().clone()))
        return compute()

    with torch.no_grad(), LayerCalls(model, names, keep) as calls:
        outputs = run_batch(model, batch)
    return (found, output_tensors(outputs, len(batch))), calls


def _axis(one: Call, two: Call) -> SampleAxis | None:
    _, form, alone = one
    beside = two[2]
    if alone.ndim != beside.ndim:
        return None
    unlike = [d for d in range(alone.ndim) if alone.shape[d] != beside.shape[d]]
    possible = range(alone.ndim - 1) if isinstance(form, Linear) else range(1)
    if len(unlike) != 1 or unlike[0] not in possible or beside.shape[unlike[0]] != 2 * alone.shape[unlike[0]]:
        return None
    return SampleAxis(unlike[0], alone.shape[unlike[0]])


def _same(alone: Run, other: Run, axes: Iterable[SampleAxis], place: int = 0) -> bool:
    """Whether the first sample of another run, or a later one, is given to the layers, and answered, as it is alone."""
    pairs = [
        (one, two.narrow(axis.dimension, place * axis.entries, axis.entries))
        for (_, _, one), (_, _, two), axis in zip(alone[0], other[0], axes, strict=True)
    ]
    pairs += [(one, two[place : place + 1]) for one, two in zip(alone[1], other[1], strict=True)]
    return all(
        one.shape == two.shape and float((one - two).abs().max()) <= _TOLERANCE * float(one.abs().max())
        for one, two in pairs
        if one.numel()
    )
