"""Batch norms by the layer whose output they normalise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from chita_edge.network.batch import changes, run_batch
from chita_edge.network.calls import LayerCalls

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import nn

    from chita_edge.network.inputs import Batch
    from chita_edge.network.layer import LayerForm


def following_batch_norms(model: nn.Module, names: Sequence[str], image: Batch) -> dict[str, _BatchNorm]:
    """For each chosen weight that is used once, and whose output goes straight into a batch norm, that batch norm.

    Found by running one image and seeing whose input is whose output, unchanged, so that no naming convention is
    assumed.
    """
    outputs: dict[str, tuple[torch.Tensor, int | None]] = {}
    found: dict[str, _BatchNorm] = {}
    again: set[str] = set()

    def leave(name: str, form: LayerForm, inputs: torch.Tensor, compute: Callable[[], torch.Tensor]) -> torch.Tensor:
        del form, inputs
        output = compute()
        if name in outputs:
            again.add(name)
        outputs[name] = output, changes(output)
        return output

    def enter(module: nn.Module, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        given = arguments[0] if arguments else options.get("input")
        for name, (output, version) in outputs.items():
            if output is given and changes(output) == version and isinstance(module, _BatchNorm):
                found[name] = module

    hooks = [
        module.register_forward_pre_hook(enter, with_kwargs=True)
        for module in model.modules()
        if isinstance(module, _BatchNorm)
    ]
    try:
        with torch.no_grad(), LayerCalls(model, names, leave):
            run_batch(model, image)
    finally:
        for handle in hooks:
            handle.remove()
    return {name: norm for name, norm in found.items() if name not in again}
