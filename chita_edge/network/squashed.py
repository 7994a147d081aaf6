"""Sigmoids at the end of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode

from chita_edge.network.batch import run_batch

if TYPE_CHECKING:
    from torch import nn

    from chita_edge.network.inputs import Batch

_SIGMOIDS = (torch.sigmoid, torch.Tensor.sigmoid, torch.special.expit, torch.ops.aten.sigmoid.default)


class Sigmoids(TorchFunctionMode):
    """A context that keeps what sigmoids compute, so that outputs which are no more than views of it are known."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[torch.Tensor] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in _SIGMOIDS and isinstance(result, torch.Tensor):
            self._kept.append(result)
        return result

    def made(self, output: torch.Tensor) -> bool:
        """Whether a sigmoid computed this output."""
        place = output.untyped_storage().data_ptr()
        return any(kept.untyped_storage().data_ptr() == place for kept in self._kept)


def run_watched(model: nn.Module, batch: Batch) -> tuple[Any, Sigmoids]:
    """Outputs of a network, and the sigmoids among its steps."""
    with torch.no_grad(), Sigmoids() as sigmoids:
        outputs = run_batch(model, batch)
    return outputs, sigmoids
