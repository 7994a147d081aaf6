"""Removal of unread channels: the same function with smaller tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chita_edge.network.batch import copy_network
from chita_edge.shrinking.channels import read_channels
from chita_edge.shrinking.errors import ShrinkingError
from chita_edge.shrinking.groups import channel_groups
from chita_edge.shrinking.remove import remove_channels
from chita_edge.shrinking.trial import difference

if TYPE_CHECKING:
    import torch
    from torch import nn

_TOLERANCE = 1e-4


def shrink(model: nn.Module, example: torch.Tensor) -> nn.Module:
    """A copy of a network without the channels that all their readers multiply by zero.

    It computes the same as ``model`` in evaluation mode, which is checked on ``example`` and on noise of its shape.
    Such channels are those that `chita_edge.prune` leaves for the structures ``filter`` and ``channel``.

    Args:
        model: any network, zeros in place.
        example: one input, batch first.

    Raises:
        ShrinkingError: the network's layers cannot be followed, or the smaller network computes something else.
    """
    groups = channel_groups(model, example)
    smaller, reference = (copy_network(model).eval() for _ in range(2))
    remove_channels(smaller, groups, read_channels(model, groups))
    try:
        found = difference(reference, smaller, example)
    except Exception as error:  # shapes that no longer fit
        raise ShrinkingError(
            f"{type(model).__name__} cannot do with fewer channels ({_first_line(error)}). Choose another structure."
        ) from error
    if not found <= _TOLERANCE:
        raise ShrinkingError(
            f"Without its unused channels {type(model).__name__} computes something else (a difference of {found:.1e} "
            "of the largest output), so it cannot be made smaller. Choose another structure."
        )
    return smaller


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
