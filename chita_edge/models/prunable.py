"""Which weights of a network may be pruned."""

from __future__ import annotations

from torch import nn


def pointwise_and_linear(model: nn.Module) -> tuple[str, ...]:
    """Names of the 1×1 convolutions' and linear layers' weights, in the order of the network.

    Stem and depthwise filters are left out: they hold 3 % of a MobileNet's weights and most of what pruning can break.
    """
    return tuple(
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
        or (isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1) and module.groups == 1)
    )
