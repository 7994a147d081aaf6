"""Which batch norm reads which layer's output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn.modules.batchnorm import _BatchNorm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn


def following_batch_norms(model: nn.Module, names: Sequence[str], image: torch.Tensor) -> dict[str, _BatchNorm]:
    """For each chosen weight whose layer's output goes straight into a batch norm, that batch norm.

    Found by running one image and seeing whose input is whose output, so that no naming convention is assumed.
    """
    modules = dict(model.named_modules())
    outputs: dict[str, torch.Tensor] = {}
    found: dict[str, _BatchNorm] = {}

    def leave(name: str) -> Any:
        def hook(module: nn.Module, arguments: tuple[Any, ...], output: torch.Tensor) -> None:
            del module, arguments
            outputs[name] = output

        return hook

    def enter(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        for name, output in outputs.items():
            if output is arguments[0] and isinstance(module, _BatchNorm):
                found[name] = module

    hooks = [modules[name.removesuffix(".weight")].register_forward_hook(leave(name)) for name in names]
    hooks += [m.register_forward_pre_hook(enter) for m in modules.values() if isinstance(m, _BatchNorm)]
    try:
        with torch.no_grad():
            model(image)
    finally:
        for handle in hooks:
            handle.remove()
    return found
