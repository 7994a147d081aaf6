"""What a layer sees at some of its output positions."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


def position_count(layer: nn.Module, inputs: torch.Tensor) -> int:
    """Output positions of one input: (batch, channels, height, width), or (batch, …, features) of a linear layer."""
    if isinstance(layer, nn.Linear):
        return inputs[0].numel() // inputs.shape[-1]
    rows, columns = _grid(layer, inputs)
    return rows * columns


def position_rows(layer: nn.Module, inputs: torch.Tensor, first: int, step: int) -> torch.Tensor:
    """What the weight rows multiply at every ``step``-th output position from ``first`` on: (batch · positions, K).

    Without forming the patches of all positions. Zero padding, no groups; K = kh · kw · in, the channel the fastest, so
    that each kernel entry is one copy of neighbouring numbers; see `weight_order`.
    """
    if isinstance(layer, nn.Linear):
        return inputs.reshape(len(inputs), -1, inputs.shape[-1])[:, first::step].reshape(-1, inputs.shape[-1])
    assert isinstance(layer, nn.Conv2d) and not isinstance(layer.padding, str)  # noqa: S101 (checked before)
    rows, columns = _grid(layer, inputs)
    positions = torch.arange(first, rows * columns, step)
    (down, right), (dilate_down, dilate_right) = layer.padding, layer.dilation
    padded = functional.pad(inputs.permute(0, 2, 3, 1), (0, 0, right, right, down, down)).contiguous()
    width, channels = padded.shape[2:]
    corner = positions // columns * layer.stride[0] * width + positions % columns * layer.stride[1]
    kernel = torch.arange(layer.kernel_size[0])[:, None] * dilate_down * width
    kernel = (kernel + torch.arange(layer.kernel_size[1]) * dilate_right).flatten()
    image = torch.arange(len(inputs))[:, None, None] * padded[0, :, :, 0].numel()
    picked = padded.view(-1, channels).index_select(0, (image + corner[:, None] + kernel).flatten())
    return picked.view(len(inputs) * len(positions), -1)


def weight_order(layer: nn.Module) -> torch.Tensor | None:
    """The columns of `position_rows` in the order of the layer's flat weight rows; None where they are in order."""
    if not isinstance(layer, nn.Conv2d) or layer.kernel_size == (1, 1):
        return None
    channels = layer.weight.shape[1]
    return torch.arange(layer.weight[0].numel()).view(-1, channels).T.flatten()


def _grid(layer: nn.Module, inputs: torch.Tensor) -> tuple[int, int]:
    """Height and width of a convolution's output."""
    assert isinstance(layer, nn.Conv2d) and not isinstance(layer.padding, str)  # noqa: S101 (checked before)
    height, width = (
        (inputs.shape[2 + side] + 2 * layer.padding[side] - layer.dilation[side] * (layer.kernel_size[side] - 1) - 1)
        // layer.stride[side]
        + 1
        for side in range(2)
    )
    return height, width
