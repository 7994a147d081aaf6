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


def convolutions_and_linear(model: nn.Module) -> tuple[str, ...]:
    """Names of all convolutions' and linear layers' weights, in the order of the network; depthwise ones stay out."""
    return tuple(
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1)
    )


def without_shortcuts(model: nn.Module) -> tuple[str, ...]:
    """As `convolutions_and_linear`, without the convolutions of a residual network's shortcuts (``downsample``)."""
    return tuple(name for name in convolutions_and_linear(model) if "downsample" not in name.split("."))
