"""Per-sample gradients as the definition says them; slow, and the oracle of `per_sample`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch.func import functional_call, grad, vmap
from torch.nn import functional

from chita_edge.calibration.gradient_matrix import GradientMatrix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from chita_edge.network.capture import Loss


_CROSS_ENTROPY: Loss = partial(functional.cross_entropy, reduction="none")


def per_sample_gradients_reference(
    model: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    names: Sequence[str],
    *,
    batch_size: int = 25,
    loss: Loss = _CROSS_ENTROPY,
) -> GradientMatrix:
    """``vmap(grad(loss))`` over the samples; arguments and result as in `per_sample_gradients`.

    The network must be in evaluation mode.
    """
    chosen = {name: dict(model.named_parameters())[name].detach() for name in names}
    rest = {
        name: tensor.detach()
        for name, tensor in (*model.named_parameters(), *model.named_buffers())
        if name not in chosen
    }

    def one(weights: dict[str, torch.Tensor], image: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return loss(functional_call(model, {**rest, **weights}, (image[None],)), label[None]).squeeze(0)

    every = vmap(grad(one), in_dims=(None, 0, 0))
    chunks = [
        every(chosen, images[i : i + batch_size], labels[i : i + batch_size]) for i in range(0, len(images), batch_size)
    ]
    blocks = {name: torch.cat([chunk[name].flatten(1) for chunk in chunks]).T.contiguous() for name in names}
    return GradientMatrix(blocks, on_disk=False)
