"""What is known of a network of the box: architecture, input shape, trained weights, prunable layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import torch
from torch import nn

from chita_edge.errors import UsageError
from chita_edge.models.published import PublishedWeights
from chita_edge.network.targets import pointwise_and_linear

IMAGENET = "imagenet"  # the weights that --weights knows by name


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation of each channel over the training images, in units of the largest pixel value."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Network inputs, float32, of uint8 images (n, channels, height, width)."""
        mean, std = (torch.tensor(values)[:, None, None] for values in (self.mean, self.std))
        return (images.float() / 255 - mean) / std


@dataclass(frozen=True)
class ModelEntry:
    """A network that `chita-edge build` knows.

    `input_shape` is (channels, height, width) of one image, (channels, time) of one series; `dataset` names the data
    set that the embedded weights were trained on; `weights` is their file in ``models/files``, None where the user
    brings them; `published` are weights of somebody's package; `prunable` gives the names of the weights that may be
    pruned; `normalisation` makes network inputs of a user's uint8 images, None where inputs are no images.
    """

    name: str
    description: str
    architecture: Callable[[], nn.Module]
    input_shape: tuple[int, ...]
    normalisation: Normalisation | None = None
    dataset: str | None = None
    weights: str | None = None
    published: PublishedWeights | None = None
    prunable: Callable[[nn.Module], tuple[str, ...]] = pointwise_and_linear

    @property
    def embedded_weights(self) -> Path | None:
        """Path of the embedded weights, None if there are none."""
        return (
            None if self.weights is None else Path(str(resources.files("chita_edge.models") / "files" / self.weights))
        )

    def weights_file(self, given: Path | None) -> Path | None:
        """Path of the weights to load: the user's file, published ones by their name, the embedded ones when None.

        Raises:
            UsageError: these published weights are not installed, or there are none of this network.
        """
        if given is None:
            return self.embedded_weights
        if given.exists() or given != Path(IMAGENET):
            return given
        if self.published is None:
            raise UsageError(f"There are no published weights {IMAGENET!r} of {self.name}; give a file.")
        return self.published.path()
