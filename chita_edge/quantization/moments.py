"""Second moments of a layer's inputs in two networks: what its refit, its rounding and its bias need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable

    from chita_edge.quantization.graph import Layer

_BATCH = 50


@dataclass(frozen=True)
class Moments:
    """Means and centred second moments of the inputs x of the compressed and x̄ of the dense network.

    Attributes:
        gram: E (x − μ)(x − μ)ᵀ, (groups, K, K) with K = in / groups · kh · kw.
        cross: E (x̄ − μ̄)(x − μ)ᵀ, (groups, K, K).
        mean: μ, (groups, K).
        dense_mean: μ̄, (groups, K).
    """

    gram: torch.Tensor
    cross: torch.Tensor
    mean: torch.Tensor
    dense_mean: torch.Tensor


class MomentSums:
    """Sums of a layer's inputs over batches of images; few output positions of each image, drawn at random.

    Args:
        layer: the geometry.
        images: how many there will be in all.
        rows: output positions over all images; at least one an image, and 16 a column of the weight.
        seed: of the positions.
    """

    def __init__(self, layer: Layer, images: int, *, rows: int = 1 << 15, seed: int = 0) -> None:
        self.layer = layer
        self._rng = torch.Generator().manual_seed(seed)
        self._each = -(-max(rows, 16 * layer.weight[0].numel()) // images)
        self._sums: list[torch.Tensor] | None = None
        self._shifts = torch.zeros(()), torch.zeros(())
        self._used = 0

    def add(self, inputs: torch.Tensor, dense_inputs: torch.Tensor) -> None:
        """Add x and x̄ of the same images, (n, channels, height, width) or (n, …, features)."""
        available = position_count(self.layer, inputs)
        chosen = torch.randperm(available, generator=self._rng)[: self._each].sort().values
        x, reference = (position_rows(self.layer, part, chosen) for part in (inputs, dense_inputs))
        if self._sums is None:  # near the mean: taken off before the product, so that little cancels afterwards
            self._shifts = x.mean(1, keepdim=True), reference.mean(1, keepdim=True)
        x, reference = x - self._shifts[0], reference - self._shifts[1]
        parts = [x.mT @ x, reference.mT @ x, x.sum(1), reference.sum(1)]
        self._sums = parts if self._sums is None else [a + b for a, b in zip(self._sums, parts, strict=True)]
        self._used += x.shape[1]

    def moments(self) -> Moments:
        """The moments of what was added."""
        assert self._sums is not None  # noqa: S101 (there is an image)
        gram, cross, rest, dense_rest = (total / self._used for total in self._sums)
        gram = gram - rest[:, :, None] * rest[:, None]
        cross = cross - dense_rest[:, :, None] * rest[:, None]
        return Moments(gram, cross, self._shifts[0][:, 0] + rest, self._shifts[1][:, 0] + dense_rest)


def moments(
    layer: Layer,
    inputs: Callable[[slice], torch.Tensor],
    dense_inputs: Callable[[slice], torch.Tensor],
    images: int,
    *,
    rows: int = 1 << 15,
    seed: int = 0,
) -> Moments:
    """Moments over about ``rows`` output positions, spread evenly over the images and at random within them.

    Args:
        layer: the geometry.
        inputs: x of some of the images, (n, channels, height, width) or (n, …, features).
        dense_inputs: x̄ of the same images.
        images: how many there are.
        rows: output positions, see `MomentSums`.
        seed: of the positions.
    """
    sums = MomentSums(layer, images, rows=rows, seed=seed)
    for start in range(0, images, _BATCH):
        batch = slice(start, min(images, start + _BATCH))
        sums.add(inputs(batch), dense_inputs(batch))
    return sums.moments()


def position_count(layer: Layer, inputs: torch.Tensor) -> int:
    """Output positions of one input."""
    if not layer.is_convolution:
        return inputs[0].numel() // inputs.shape[-1]
    rows, columns = _output_size(layer, inputs)
    return rows * columns


def position_rows(layer: Layer, inputs: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """What the weight rows multiply at some output positions of each input, (groups, n · positions, K)."""
    if not layer.is_convolution:
        return inputs.reshape(len(inputs), -1, inputs.shape[-1])[:, positions].reshape(1, -1, inputs.shape[-1])
    _, columns = _output_size(layer, inputs)
    (down, right), (kernel_down, kernel_right) = layer.padding, layer.weight.shape[2:]
    padded = functional.pad(inputs, (right, right, down, down))
    row = (positions // columns * layer.stride[0])[:, None, None] + (torch.arange(kernel_down) * layer.dilation[0])[
        :, None
    ]
    column = (positions % columns * layer.stride[1])[:, None, None] + torch.arange(kernel_right) * layer.dilation[1]
    picked = padded[:, :, row, column]  # (n, channels, positions, kh, kw)
    n, channels, count = picked.shape[:3]
    grouped = picked.reshape(n, layer.groups, channels // layer.groups, count, -1)
    return grouped.permute(1, 0, 3, 2, 4).reshape(layer.groups, n * count, -1)


def _output_size(layer: Layer, inputs: torch.Tensor) -> tuple[int, int]:
    """Height and width of a convolution's output."""
    height, width = (
        (
            inputs.shape[2 + side]
            + 2 * layer.padding[side]
            - layer.dilation[side] * (layer.weight.shape[2 + side] - 1)
            - 1
        )
        // layer.stride[side]
        + 1
        for side in range(2)
    )
    return height, width
