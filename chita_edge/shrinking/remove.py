"""Cut channels out of every layer's tensors."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chita_edge.shrinking.channel_group import ChannelGroup


def remove_channels(model: nn.Module, groups: Sequence[ChannelGroup], kept: Mapping[str, torch.Tensor]) -> None:
    """Cut the channels that are not kept out of every layer's tensors; changes ``model``.

    Args:
        model: the network.
        groups: of the network as it is.
        kept: by name of the group, bool (size,), at least one channel; groups that are not named keep all.
    """
    outputs: dict[str, list[torch.Tensor]] = defaultdict(list)
    inputs: dict[str, list[torch.Tensor]] = defaultdict(list)
    for group in groups:
        if group.name not in kept:
            continue
        for member in group.members:
            gone = member.channels[~kept[group.name][member.of]]
            if member.role in ("writes", "carries"):
                outputs[member.layer].append(gone)
            if member.role == "reads":
                inputs[member.layer].append(gone)
    for name, removed in outputs.items():
        _cut_outputs(model.get_submodule(name), torch.cat(removed))
    for name, removed in inputs.items():
        _cut_inputs(model.get_submodule(name), torch.cat(removed))


def _cut_outputs(layer: nn.Module, gone: torch.Tensor) -> None:
    left = _left(
        layer.weight if isinstance(layer, nn.Conv2d | nn.Linear) else getattr(layer, "running_mean", None), 0, gone
    )
    if left is None:  # a layer without tensors, such as an activation
        return
    for name in ("weight", "bias", "running_mean", "running_var"):
        tensor = getattr(layer, name, None)
        if tensor is not None:
            _replace(layer, name, tensor.detach().index_select(0, left))
    if isinstance(layer, nn.Conv2d):
        layer.out_channels = len(left)
        if layer.groups > 1:
            layer.in_channels = layer.groups = len(left)
    elif isinstance(layer, nn.Linear):
        layer.out_features = len(left)
    elif isinstance(layer, _BatchNorm):
        layer.num_features = len(left)


def _cut_inputs(layer: nn.Module, gone: torch.Tensor) -> None:
    assert isinstance(layer, nn.Conv2d | nn.Linear)  # noqa: S101 (no other layer reads)
    left = _left(layer.weight, 1, gone)
    assert left is not None  # noqa: S101 (it has a weight)
    _replace(layer, "weight", layer.weight.detach().index_select(1, left))
    if isinstance(layer, nn.Conv2d):
        layer.in_channels = len(left)
    else:
        layer.in_features = len(left)


def _left(tensor: torch.Tensor | None, dimension: int, gone: torch.Tensor) -> torch.Tensor | None:
    if tensor is None:
        return None
    stays = torch.ones(tensor.shape[dimension], dtype=torch.bool)
    stays[gone] = False
    return stays.nonzero()[:, 0]


def _replace(layer: nn.Module, name: str, tensor: torch.Tensor) -> None:
    old = getattr(layer, name)
    setattr(layer, name, nn.Parameter(tensor, old.requires_grad) if isinstance(old, nn.Parameter) else tensor)
