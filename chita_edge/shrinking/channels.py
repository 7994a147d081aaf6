"""Operations on the channels of a group: zeroing, scaling, and finding unread ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import nn

    from chita_edge.shrinking.channel_group import ChannelGroup
    from chita_edge.shrinking.sensitivity import Side


def zero_channels(model: nn.Module, groups: Sequence[ChannelGroup], kept: Mapping[str, torch.Tensor]) -> None:
    """Set the channels that are not kept to zero, wherever they are written, carried or read; changes ``model``.

    Args:
        model: the network.
        groups: of the network.
        kept: by name of the group, bool (size,); groups that are not named keep all.
    """
    with torch.no_grad():
        for group in groups:
            if group.name not in kept:
                continue
            for member in group.members:
                gone = member.channels[~kept[group.name][member.of]]
                layer = model.get_submodule(member.layer)
                if member.role == "reads":
                    cast("torch.Tensor", layer.weight)[:, gone] = 0
                    continue
                for parameter in (getattr(layer, name, None) for name in ("weight", "bias", "running_mean")):
                    if parameter is not None:
                        parameter[gone] = 0


def read_channels(model: nn.Module, groups: Sequence[ChannelGroup]) -> dict[str, torch.Tensor]:
    """By name of the group, bool (size,): the channels that some layer reads with a weight that is not zero.

    The others can be removed and the network still computes the same, whatever is written to them. One channel of each
    group is always said to be read, since no layer can be without any.
    """
    read = {}
    for group in groups:
        used = torch.zeros(group.size, dtype=torch.bool)
        for member in group.having("reads"):
            weight = cast("torch.Tensor", model.get_submodule(member.layer).weight).detach()
            alive = (weight != 0).transpose(0, 1).flatten(1).any(1)  # NaN counts
            used[member.of[alive[member.channels]]] = True
        if not bool(used.any()):
            used[0] = True
        read[group.name] = used
    return read


def weight_masks(
    model: nn.Module, groups: Sequence[ChannelGroup], kept: Mapping[str, torch.Tensor], names: Sequence[str]
) -> dict[str, torch.Tensor]:
    """Bool masks, by name of the weight, of what `zero_channels` leaves of these weights."""
    parameters = dict(model.named_parameters())
    masks = {name: torch.ones(parameters[name].shape, dtype=torch.bool) for name in names}
    for group in groups:
        for member in group.members:
            mask = masks.get(f"{member.layer}.weight")
            if mask is not None and group.name in kept:
                gone = member.channels[~kept[group.name][member.of]]
                mask[(slice(None), gone) if member.role == "reads" else gone] = False
    return masks


def scale_channels(
    model: nn.Module, groups: Sequence[ChannelGroup], factors: Mapping[str, torch.Tensor], side: Side
) -> None:
    """Multiply what is written to each channel, or the weights that read it, by its factor; changes ``model``.

    Where a batch norm follows a layer that writes, its scale and shift are multiplied, so that new statistics do not
    undo it.
    """
    with torch.no_grad():
        for group in groups:
            for member in group.having("writes" if side == "filter" else "reads"):
                factor = factors[group.name][member.of]
                layer = model.get_submodule(member.layer if member.norm is None else member.norm)
                if member.role == "reads":
                    weight = cast("torch.Tensor", layer.weight)
                    weight[:, member.channels] *= factor.view(1, -1, *[1] * (weight.ndim - 2))
                    continue
                for parameter in (getattr(layer, name, None) for name in ("weight", "bias")):
                    if parameter is not None:
                        parameter[member.channels] *= factor.view(-1, *[1] * (parameter.ndim - 1))
