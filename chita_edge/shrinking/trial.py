"""Trial of channel groups: some channels are zeroed, cut out, and the two networks compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from chita_edge.network.batch import copy_network, output_tensors, run_batch
from chita_edge.shrinking.channels import zero_channels
from chita_edge.shrinking.remove import remove_channels

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import nn

    from chita_edge.shrinking.channel_group import ChannelGroup

_TOLERANCE = 1e-3


def removable(model: nn.Module, groups: Sequence[ChannelGroup], example: torch.Tensor) -> tuple[ChannelGroup, ...]:
    """The groups of which any channels can be removed, and the network computes as with zeros in their place.

    Where channels are split, chunked, shuffled or made into pixels, removing one can shift the others into other hands;
    such groups are left out. All groups are tried together first, one by one only where that fails.

    Args:
        model: in evaluation mode; not changed.
        groups: as they were found.
        example: one input, batch first.
    """
    if not groups or _works(model, groups, example):
        return tuple(groups)
    single = tuple(group for group in groups if _works(model, (group,), example))
    return single if single and _works(model, single, example) else ()


def difference(model: nn.Module, other: nn.Module, example: torch.Tensor) -> float:
    """Largest difference of the outputs, in units of the largest output, on the example and on noise of its shape."""
    noise = torch.randn(example.shape, generator=torch.Generator().manual_seed(0))
    found = []
    with torch.no_grad():
        for inputs in (example, noise):
            pairs = (output_tensors(run_batch(network, inputs), len(inputs)) for network in (model, other))
            found += [
                float((want - got).abs().max() / want.abs().max().clamp_min(1e-30))
                for want, got in zip(*pairs, strict=True)
            ]
    return max(found, key=lambda value: (value != value, value))  # NaN is the largest


def _works(model: nn.Module, groups: Sequence[ChannelGroup], example: torch.Tensor) -> bool:
    for kept in _choices(groups):
        zeroed = copy_network(model)
        try:
            zero_channels(zeroed, groups, kept)
            smaller = copy_network(zeroed)
            remove_channels(smaller, groups, kept)
            if not difference(zeroed, smaller, example) <= _TOLERANCE:
                return False
        except Exception:  # indices outside a layer, shapes that no longer fit, whatever a forward then says
            return False
    return True


def _choices(groups: Sequence[ChannelGroup]) -> Iterator[dict[str, torch.Tensor]]:
    """Channels to keep: all but the first one of each group, all but the last one, and a random two thirds."""
    rng = torch.Generator().manual_seed(0)
    for choice in range(3):
        kept = {}
        for group in groups:
            keep = torch.ones(group.size, dtype=torch.bool)
            if choice < 2:
                keep[-choice] = group.size == 1
            else:
                keep = torch.rand(group.size, generator=rng) > 1 / 3
                keep[int(torch.randint(group.size, (1,), generator=rng))] = True
            kept[group.name] = keep
        yield kept
