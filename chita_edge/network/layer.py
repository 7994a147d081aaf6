"""Linear layers and convolutions: how one call applies its weight, the weight's gradients, and its input rows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional


@dataclass(frozen=True)
class Linear:
    """y = x Wᵀ over the last dimension of x, (…, in) to (…, out)."""


@dataclass(frozen=True)
class Convolution:
    """A convolution of (batch, channels, height, width); one over time is of height 1.

    Attributes:
        kernel: height and width.
        stride: down and right.
        padding: zeros on the left, right, top and bottom, as `functional.pad` takes them.
        dilation: down and right.
        groups: of channels.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @property
    def pointwise(self) -> bool:
        """Whether it reads one unpadded pixel for each that it writes."""
        return self.kernel == (1, 1) and not any(self.padding)

    def grid(self, inputs: torch.Tensor) -> tuple[int, int]:
        """Height and width of the output."""
        left, right, top, bottom = self.padding
        height, width = (
            (side + padded - dilation * (kernel - 1) - 1) // stride + 1
            for side, padded, dilation, kernel, stride in zip(
                inputs.shape[2:], (top + bottom, left + right), self.dilation, self.kernel, self.stride, strict=True
            )
        )
        return height, width


LayerForm = Linear | Convolution


def unfold_input(form: LayerForm, inputs: torch.Tensor) -> torch.Tensor:
    """The columns that a layer's weight rows multiply: (batch, groups, K, positions) with K = in/groups · kh · kw.

    ``inputs`` is (batch, channels, height, width) for a convolution and (batch, …, features) for a linear layer.
    """
    if isinstance(form, Linear):
        return inputs.reshape(inputs.shape[0], 1, -1, inputs.shape[-1]).transpose(2, 3)
    down, right = form.stride
    columns = inputs[:, :, ::down, ::right].flatten(2) if form.pointwise else _patches(form, inputs)
    return columns.reshape(len(columns), form.groups, -1, columns.shape[-1])


def _patches(form: Convolution, inputs: torch.Tensor) -> torch.Tensor:
    """Patches as `functional.unfold` makes them, (batch, in · kh · kw, positions), by one strided copy for each kernel
    entry.
    """
    (rows, columns), (step_down, step_right) = form.kernel, form.stride
    padded = functional.pad(inputs, form.padding)
    height, width = form.grid(inputs)
    patches = inputs.new_empty(*inputs.shape[:2], rows * columns, height, width)
    for entry in range(rows * columns):
        top, left = entry // columns * form.dilation[0], entry % columns * form.dilation[1]
        patches[:, :, entry] = padded[
            :,
            :,
            top : top + step_down * (height - 1) + 1 : step_down,
            left : left + step_right * (width - 1) + 1 : step_right,
        ]
    return patches.view(len(inputs), -1, height * width)


def weight_gradients(
    form: LayerForm, inputs: torch.Tensor, output_gradients: torch.Tensor, entries_per_row: int
) -> torch.Tensor:
    """Gradients by a layer's weights, summed over ``entries_per_row`` neighbouring entries of the batch.

    ∂loss_b/∂W[o, i] = Σ_positions G[b, o, position] · X[b, i, position]: a batched matrix product.

    Args:
        form: of the layer.
        inputs: its input, batch first.
        output_gradients: the loss's gradient by its output, same batch.
        entries_per_row: divides the batch.

    Returns:
        float32 (batch / entries_per_row, output channels · K).

    """
    columns = unfold_input(form, inputs)
    if isinstance(form, Linear):
        gradients = output_gradients.reshape(columns.shape[0], 1, -1, output_gradients.shape[-1]).transpose(2, 3)
    else:
        gradients = output_gradients.reshape(len(columns), columns.shape[1], -1, columns.shape[-1])
    if entries_per_row > 1:
        gradients, columns = (
            t.reshape(-1, entries_per_row, *t.shape[1:]).permute(0, 2, 3, 1, 4).flatten(3) for t in (gradients, columns)
        )
    return torch.matmul(gradients, columns.transpose(2, 3)).flatten(1)


def position_count(form: LayerForm, inputs: torch.Tensor) -> int:
    """Output positions of one input: (batch, channels, height, width), or (batch, …, features) of a linear layer."""
    if isinstance(form, Linear):
        return inputs[0].numel() // inputs.shape[-1]
    rows, columns = form.grid(inputs)
    return rows * columns


def column_count(form: LayerForm, inputs: torch.Tensor) -> int:
    """K, the inputs that a weight row multiplies at one position."""
    if isinstance(form, Linear):
        return inputs.shape[-1]
    return inputs.shape[1] // form.groups * form.kernel[0] * form.kernel[1]


def position_rows(form: LayerForm, inputs: torch.Tensor, first: int, step: int) -> torch.Tensor:
    """Input patches at every ``step``-th output position from ``first`` on, (batch · positions, K).

    Without forming the patches of all positions. No groups; K = kh · kw · in, the channel the fastest, so
    that each kernel entry is one copy of neighbouring numbers; see `weight_order`.
    """
    if isinstance(form, Linear):
        return inputs.reshape(len(inputs), -1, inputs.shape[-1])[:, first::step].reshape(-1, inputs.shape[-1])
    rows, columns = form.grid(inputs)
    device = inputs.device
    positions = torch.arange(first, rows * columns, step, device=device)
    left, right, top, bottom = form.padding
    padded = functional.pad(inputs.permute(0, 2, 3, 1), (0, 0, left, right, top, bottom)).contiguous()
    width, channels = padded.shape[2:]
    corner = positions // columns * form.stride[0] * width + positions % columns * form.stride[1]
    kernel = torch.arange(form.kernel[0], device=device)[:, None] * form.dilation[0] * width
    kernel = (kernel + torch.arange(form.kernel[1], device=device) * form.dilation[1]).flatten()
    image = torch.arange(len(inputs), device=device)[:, None, None] * padded[0, :, :, 0].numel()
    picked = padded.view(-1, channels).index_select(0, (image + corner[:, None] + kernel).flatten())
    return picked.view(len(inputs) * len(positions), -1)


def weight_order(form: LayerForm, columns: int) -> torch.Tensor | None:
    """The ``columns`` of `position_rows` in the order of the layer's flat weight rows; None where they are in order."""
    if isinstance(form, Linear) or form.kernel == (1, 1):
        return None
    entries = form.kernel[0] * form.kernel[1]
    return torch.arange(columns).view(entries, -1).T.flatten()
