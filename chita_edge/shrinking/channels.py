"""Set channels of a group to zero, and find those that nobody reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import nn

    from chita_edge.shrinking.groups import ChannelGroup


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
