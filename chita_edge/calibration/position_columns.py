"""The input columns of a layer at some of its output positions."""

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


def position_columns(layer: nn.Module, inputs: torch.Tensor, first: int, step: int) -> torch.Tensor:
    """What the weight rows multiply at every ``step``-th output position from ``first`` on: (K, batch · positions).

    Without forming the columns of all positions. Zero padding, no groups; K = in · kh · kw.
    """
    if isinstance(layer, nn.Linear):
        return inputs.reshape(len(inputs), -1, inputs.shape[-1])[:, first::step].reshape(-1, inputs.shape[-1]).T
    assert isinstance(layer, nn.Conv2d) and not isinstance(layer.padding, str)  # noqa: S101 (checked before)
    rows, columns = _grid(layer, inputs)
    positions = torch.arange(first, rows * columns, step)
    (down, right), (dilate_down, dilate_right) = layer.padding, layer.dilation
    padded = functional.pad(inputs, (right, right, down, down))
    width = padded.shape[3]
    corner = positions // columns * layer.stride[0] * width + positions % columns * layer.stride[1]
    kernel = torch.arange(layer.kernel_size[0])[:, None] * dilate_down * width
    kernel = (kernel + torch.arange(layer.kernel_size[1]) * dilate_right).flatten()
    picked = padded.transpose(0, 1).flatten(2).index_select(2, (kernel[:, None] + corner).flatten())
    channels, batch = picked.shape[:2]
    return picked.view(channels, batch, len(kernel), -1).transpose(1, 2).reshape(channels * len(kernel), -1)


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
