"""How many multiplications each layer of a network does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn


def multiplications(model: nn.Module, names: Sequence[str], image: torch.Tensor) -> dict[str, int]:
    """Multiplications of the dense layers that these weights belong to, for one input.

    Each weight is used once for every output position; layers that are called several times count each call.

    Args:
        model: a network in evaluation mode.
        names: weights of convolutions and linear layers.
        image: (1, …), what the network takes.
    """
    modules = dict(model.named_modules())
    found = dict.fromkeys(names, 0)

    def counting(name: str) -> Any:
        def hook(module: nn.Module, arguments: tuple[Any, ...], output: torch.Tensor) -> None:
            del arguments
            weight = module.weight
            assert isinstance(weight, torch.Tensor)  # noqa: S101 (names are those of weights)
            found[name] += weight.numel() * (output.numel() // weight.shape[0])

        return hook

    hooks = [modules[name.removesuffix(".weight")].register_forward_hook(counting(name)) for name in names]
    try:
        with torch.no_grad():
            model(image)
    finally:
        for handle in hooks:
            handle.remove()
    return found
