"""Multiplications of each layer of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from chita_edge.network.batch import run_batch
from chita_edge.network.calls import LayerCalls, check_used

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import nn

    from chita_edge.network.inputs import Batch
    from chita_edge.network.layer import LayerForm


def multiplications(model: nn.Module, names: Sequence[str], image: Batch) -> dict[str, int]:
    """Multiplications of the dense layers that these weights belong to, for one input.

    Each weight is used once for every output position; weights that are used several times count each call.

    Args:
        model: a network in evaluation mode.
        names: weights of convolutions and linear layers.
        image: (1, …), what the network takes.

    Raises:
        CalibrationError: the network fails on the input, or a weight is never used, or also by other means than linear
            and convolution.
    """
    found = dict.fromkeys(names, 0)
    called: set[str] = set()

    def count(name: str, form: LayerForm, inputs: torch.Tensor, compute: Callable[[], torch.Tensor]) -> torch.Tensor:
        del form, inputs
        output, weight = compute(), model.get_parameter(name)
        called.add(name)
        found[name] += weight.numel() * (output.numel() // weight.shape[0])
        return output

    with torch.no_grad(), LayerCalls(model, names, count) as calls:
        run_batch(model, image)
    check_used(names, called, calls)
    return found
