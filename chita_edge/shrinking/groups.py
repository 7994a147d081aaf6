"""Groups of coupled channels of a network, such as the summands of a residual sum."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import torch
import torch_pruning
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from chita_edge.network.batch import copy_network
from chita_edge.shrinking.channel_group import ChannelGroup, Member, Role
from chita_edge.shrinking.errors import ShrinkingError
from chita_edge.shrinking.trial import removable

if TYPE_CHECKING:
    pass


def channel_groups(model: nn.Module, example: torch.Tensor) -> tuple[ChannelGroup, ...]:
    """The groups of channels that may be removed from a network, in the order of its layers.

    The network's inputs and outputs are in none of them: no layer writes the former, none reads the latter. Left out
    are also channels that a layer of another kind than convolution (ungrouped or depthwise), linear and batch norm
    takes part in, and those that cannot be removed one by one, as where they are split or shuffled; the latter are
    found by trying (`chita_edge.shrinking.trial`).

    Dependencies are followed by torch-pruning (Fang et al. 2023, "DepGraph", arXiv 2301.12900) through autograd's
    graph of one forward pass.

    Args:
        model: any network; not changed.
        example: one input, batch first.

    Raises:
        ShrinkingError: the network's layers cannot be followed.
    """
    network = copy_network(model).eval()
    names = {module: name for name, module in network.named_modules()}
    try:
        network.requires_grad_(True)
        with torch.enable_grad():
            graph = torch_pruning.DependencyGraph().build_dependency(network, example_inputs=example, verbose=False)
        found = list(graph.get_all_groups(root_module_types=[nn.Conv2d, nn.Linear]))
    except Exception as error:  # it raises whatever its tracing runs into
        raise ShrinkingError(
            f"The channels of {type(model).__name__} cannot be followed from layer to layer "
            f"({str(error).splitlines()[0] if str(error) else type(error).__name__}), so none can be removed. "
            "Choose another structure."
        ) from error
    groups = (_group(graph, raw, names) for raw in found)
    order = {name: number for number, name in enumerate(names.values())}
    known = sorted((group for group in groups if group is not None), key=lambda group: order[group.name])
    return removable(copy_network(model).eval(), known, example)


def _group(
    graph: torch_pruning.DependencyGraph, raw: torch_pruning.Group, names: dict[nn.Module, str]
) -> ChannelGroup | None:
    """Group of channels from one of torch-pruning's groups; None where it may not shrink."""
    places: dict[tuple[str, Role], tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    norms: dict[str, str] = {}
    for item in raw:
        module = item.dep.target.module
        if module not in names:
            if isinstance(module, nn.Parameter):
                return None
            continue  # an operation without weights
        out = bool(graph.is_out_channel_pruning_fn(item.dep.handler))
        role = _role(module, out=out)
        if role is None:
            return None
        channels, of = places[names[module], role]
        channels.extend(item.idxs)
        of.extend(item.root_idxs)
        followers = [follower.module for follower in item.dep.target.outputs]
        if role == "writes" and len(followers) == 1 and isinstance(followers[0], _BatchNorm):
            norms[names[module]] = names[followers[0]]
    roles = {role for _, role in places}
    if not {"writes", "reads"} <= roles:
        return None
    members = tuple(
        Member(layer, role, torch.tensor(channels), torch.tensor(of), norms.get(layer) if role == "writes" else None)
        for (layer, role), (channels, of) in places.items()
    )
    order = {name: number for number, name in enumerate(names.values())}
    first = min((member.layer for member in members if member.role == "writes"), key=order.__getitem__)
    return ChannelGroup(first, len(raw[0].idxs), tuple(sorted(members, key=lambda member: order[member.layer])))


def _role(module: nn.Module, *, out: bool) -> Role | None:
    """Role of a layer in a group: writer, reader or normaliser of its channels; None for other kinds of layers."""
    if isinstance(module, _BatchNorm):
        return "carries"
    if isinstance(module, nn.Conv2d) and module.groups > 1:
        return "carries" if module.groups == module.in_channels == module.out_channels else None
    if type(module) in (nn.Conv2d, nn.Linear):
        return "writes" if out else "reads"
    return None if next(module.parameters(), None) is not None else "carries"
