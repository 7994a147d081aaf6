"""Input patches of a layer at some of its output positions, and their second moments."""

from __future__ import annotations

import torch

from chita_edge.quantization.graph import Layer


class GramSums:
    """Gram matrix of a layer's inputs, summed over batches of images; few output positions of each image.

    Args:
        layer: the geometry.
        images: how many there will be in all.
        rows: output positions over all images, see `positions_of_image`.
        seed: of the positions.
    """

    def __init__(self, layer: Layer, images: int, *, rows: int = 1 << 15, seed: int = 0) -> None:
        self.layer = layer
        self._rng = torch.Generator().manual_seed(seed)
        self._each = positions_of_image(layer, images, rows)
        self._shift: torch.Tensor | None = None
        self._gram = self._sum = torch.zeros(())
        self._used = 0

    def add(self, inputs: torch.Tensor) -> None:
        """Add the inputs of some images, (n, channels, height, width) or (n, …, features)."""
        x = position_rows(self.layer, inputs, draw_positions(self.layer, inputs, self._each, self._rng))
        if self._shift is None:  # near the mean: taken off before the product, so that little cancels afterwards
            self._shift = x.mean(1, keepdim=True)
        x = x - self._shift
        self._gram, self._sum, self._used = self._gram + x.mT @ x, self._sum + x.sum(1), self._used + x.shape[1]

    def gram(self) -> torch.Tensor:
        """E (x − μ)(x − μ)ᵀ, (groups, K, K) with K = in / groups · kh · kw."""
        mean = self._sum / self._used
        return self._gram / self._used - mean[:, :, None] * mean[:, None]


def positions_of_image(layer: Layer, images: int, rows: int) -> int:
    """Output positions of each image for ``rows`` in all: at least one, and 16 a column of the weight in all."""
    return -(-max(rows, 16 * layer.weight[0].numel()) // images)


def draw_positions(layer: Layer, inputs: torch.Tensor, count: int, rng: torch.Generator) -> torch.Tensor:
    """So many random output positions, ascending; all where there are no more."""
    return torch.randperm(position_count(layer, inputs), generator=rng)[:count].sort().values


def position_count(layer: Layer, inputs: torch.Tensor) -> int:
    """Output positions of one input."""
    if not layer.is_convolution:
        return inputs[0].numel() // inputs.shape[-1]
    rows, columns = _output_size(layer, inputs)
    return rows * columns


def position_rows(layer: Layer, inputs: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Input patches at some output positions of each input, (groups, n · positions, K)."""
    if not layer.is_convolution:
        return inputs.reshape(len(inputs), -1, inputs.shape[-1])[:, positions].reshape(1, -1, inputs.shape[-1])
    _, columns = _output_size(layer, inputs)
    kernel_down, kernel_right = layer.weight.shape[2:]
    padded = layer.padded(inputs)
    row = (positions // columns * layer.stride[0])[:, None, None] + (torch.arange(kernel_down) * layer.dilation[0])[
        :, None
    ]
    column = (positions % columns * layer.stride[1])[:, None, None] + torch.arange(kernel_right) * layer.dilation[1]
    picked = padded[:, :, row, column]  # (n, channels, positions, kh, kw)
    n, channels, count = picked.shape[:3]
    grouped = picked.reshape(n, layer.groups, channels // layer.groups, count, -1)
    return grouped.permute(1, 0, 3, 2, 4).reshape(layer.groups, n * count, -1)


def position_outputs(outputs: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """A layer's outputs at some output positions, in the order of `position_rows`: (n · positions, out)."""
    if outputs.dim() == 4:
        return outputs.flatten(2)[:, :, positions].permute(0, 2, 1).flatten(0, 1)
    return outputs.reshape(len(outputs), -1, outputs.shape[-1])[:, positions].flatten(0, 1)


def _output_size(layer: Layer, inputs: torch.Tensor) -> tuple[int, int]:
    """Height and width of a convolution's output."""
    height, width = (
        (
            inputs.shape[2 + side]
            + layer.pads[side]
            + layer.pads[2 + side]
            - layer.dilation[side] * (layer.weight.shape[2 + side] - 1)
            - 1
        )
        // layer.stride[side]
        + 1
        for side in range(2)
    )
    return height, width
