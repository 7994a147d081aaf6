"""Device on which a network is run while it is pruned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch

from chita_edge.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

Device = Literal["auto", "cpu", "cuda", "mps"]


def find_device(wanted: Device | None, model: nn.Module) -> torch.device:
    """The device for a run.

    Args:
        wanted: "auto" is CUDA where there is a device for it, and the CPU elsewhere; where the network is when None.
        model: the network.

    Raises:
        UsageError: there is no such device here.
    """
    if wanted is None:
        return next((tensor.device for tensor in (*model.parameters(), *model.buffers())), torch.device("cpu"))
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there[wanted]:
        others = " and ".join(name for name, found in there.items() if found)
        raise UsageError(f"There is no device {wanted!r} here: torch {torch.__version__} sees {others}.")
    return torch.device(wanted)
