"""What a network costs to run."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def layer_macs(model: nn.Module, example: torch.Tensor) -> dict[str, int]:
    """Multiply–accumulates of each convolution and linear layer for one image, by name, in the order of their calls.

    A weight counts once for each output position, zero or not; biases, batch norm and activations do not count.

    Args:
        model: any network; not changed.
        example: one input, batch first.
    """
    macs: dict[str, int] = {}

    def counting(name: str) -> Any:
        def count(layer: nn.Module, arguments: tuple[Any, ...], output: torch.Tensor) -> None:
            del arguments
            weight = layer.weight
            assert isinstance(weight, torch.Tensor)  # noqa: S101 (both kinds of layer have one)
            macs[name] = macs.get(name, 0) + output[0].numel() * weight[0].numel()

        return count

    hooks = [
        module.register_forward_hook(counting(name))
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    training = {module: module.training for module in model.modules()}
    try:
        with torch.no_grad():
            model.eval()(example[:1])
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in training.items():
            module.training = mode
    return macs
