"""Cross-layer equalisation of a torch network, before weights are chosen by size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from chita_edge.network.inputs import SeveralInputs
from chita_edge.quantization import UnsupportedNetworkError, trace
from chita_edge.quantization.equalise import equalising_factors, scaled_columns

if TYPE_CHECKING:
    from chita_edge.network.inputs import Batch

_IMAGES = 200
_NORMS = (nn.modules.batchnorm._BatchNorm,)


def equalise_channels(model: nn.Module, samples: Batch) -> str:
    """Scale a network's inner channels to one size, in place; its function stays the same.

    A weight that is large only because the channel that it reads is small would otherwise be kept for that alone. See
    `chita_edge.quantization.equalise`; where a batch norm follows a layer, its weight and bias are scaled.

    Args:
        model: in evaluation mode.
        samples: calibration inputs, for the channels' ranges.

    Returns:
        What was done, as a phrase; why nothing was, where the network cannot be followed from layer to layer.
    """
    if isinstance(samples, SeveralInputs) or not samples.is_floating_point():
        return "channels not equalised: that takes networks with one floating-point input"
    try:
        graph = trace(model)
    except UnsupportedNetworkError as error:
        return f"channels not equalised: {error}"
    modules = dict(model.named_modules())

    norms = {step.name: modules[step.norm] for step in graph.steps if step.norm is not None}
    unscaled = {name for name, norm in norms.items() if norm.weight is None}
    alone = {name for name in norms if isinstance(modules[name], _NORMS)}  # its statistics would have to change
    with torch.no_grad():
        found = equalising_factors(graph, samples[:_IMAGES], fixed_outputs=unscaled, fixed_inputs=alone)
        for channels in found:
            writer: Any = norms.get(channels.writer, modules[channels.writer])
            writer.weight.mul_(channels.factor.view(-1, *[1] * (writer.weight.dim() - 1)))
            if writer.bias is not None:
                writer.bias.mul_(channels.factor)
            for name in channels.readers:
                layer = modules[name]
                groups = int(getattr(layer, "groups", 1))
                layer.weight.copy_(scaled_columns(layer.weight, groups, 1 / channels.factor))
    return f"channels behind {len(found)} layer{'' if len(found) == 1 else 's'} equalised"
