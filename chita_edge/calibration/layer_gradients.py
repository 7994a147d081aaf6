"""The weight gradient of each sample from a layer's input and its output's gradient."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from chita_edge.calibration.errors import CalibrationError


def check_supported(name: str, module: nn.Module) -> None:
    """Refuse a layer whose gradients `weight_gradients` cannot form.

    Raises:
        CalibrationError: ``module`` is neither ``nn.Linear`` nor a zero-padded ``nn.Conv2d``.

    """
    if isinstance(module, nn.Linear):
        return
    if isinstance(module, nn.Conv2d) and module.padding_mode == "zeros" and not isinstance(module.padding, str):
        return
    raise CalibrationError(
        f"{name} of a {type(module).__name__} cannot be pruned: only nn.Linear and nn.Conv2d with numeric zero padding "
        "can. Keep it dense."
    )


def unfold_input(module: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    """The columns that a layer's weight rows multiply: (batch, groups, K, positions) with K = in/groups · kh · kw.

    ``inputs`` is (batch, channels, height, width) for a convolution and (batch, …, features) for a linear layer.
    """
    if isinstance(module, nn.Linear):
        return inputs.reshape(inputs.shape[0], 1, -1, inputs.shape[-1]).transpose(2, 3)
    assert isinstance(module, nn.Conv2d)  # noqa: S101 (check_supported has seen to it)
    if module.kernel_size == (1, 1) and module.padding == (0, 0):
        picked = inputs[:, :, :: module.stride[0], :: module.stride[1]]
        columns = picked.flatten(2)
    else:
        assert not isinstance(module.padding, str)  # noqa: S101 (check_supported has seen to it)
        columns = _patches(module, inputs)
    return columns.reshape(len(columns), module.groups, -1, columns.shape[-1])


def _patches(module: nn.Conv2d, inputs: torch.Tensor) -> torch.Tensor:
    """What `functional.unfold` gives, (batch, in · kh · kw, positions): one strided copy for each kernel entry."""
    assert not isinstance(module.padding, str)  # noqa: S101 (check_supported has seen to it)
    (down, right), (rows, columns), (step_down, step_right) = module.padding, module.kernel_size, module.stride
    padded = functional.pad(inputs, (right, right, down, down))
    height = (padded.shape[2] - module.dilation[0] * (rows - 1) - 1) // step_down + 1
    width = (padded.shape[3] - module.dilation[1] * (columns - 1) - 1) // step_right + 1
    patches = inputs.new_empty(*inputs.shape[:2], rows * columns, height, width)
    for entry in range(rows * columns):
        top, left = entry // columns * module.dilation[0], entry % columns * module.dilation[1]
        patches[:, :, entry] = padded[
            :,
            :,
            top : top + step_down * (height - 1) + 1 : step_down,
            left : left + step_right * (width - 1) + 1 : step_right,
        ]
    return patches.view(len(inputs), -1, height * width)


def weight_gradients(
    module: nn.Module, inputs: torch.Tensor, output_gradients: torch.Tensor, samples_per_row: int
) -> torch.Tensor:
    """Gradients by a layer's weights, summed over ``samples_per_row`` neighbouring samples.

    ∂loss_b/∂W[o, i] = Σ_positions G[b, o, position] · X[b, i, position]: a batched matrix product.

    Args:
        module: the layer, ``nn.Linear`` or ``nn.Conv2d``.
        inputs: its input, batch first.
        output_gradients: the loss's gradient by its output, same batch.
        samples_per_row: divides the batch.

    Returns:
        float32 (batch / samples_per_row, output channels · K).

    """
    columns = unfold_input(module, inputs)
    if isinstance(module, nn.Linear):
        gradients = output_gradients.reshape(columns.shape[0], 1, -1, output_gradients.shape[-1]).transpose(2, 3)
    else:
        gradients = output_gradients.reshape(len(columns), columns.shape[1], -1, columns.shape[-1])
    if samples_per_row > 1:
        gradients, columns = (
            t.reshape(-1, samples_per_row, *t.shape[1:]).permute(0, 2, 3, 1, 4).flatten(3) for t in (gradients, columns)
        )
    return torch.matmul(gradients, columns.transpose(2, 3)).flatten(1)
