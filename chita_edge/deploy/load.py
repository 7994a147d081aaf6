"""Trained network and images of a run, embedded or the user's: to calibrate on and to judge on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from chita_edge import datasets
from chita_edge.datasets import LabelledImages
from chita_edge.errors import UsageError
from chita_edge.models import ModelEntry, load_weights
from chita_edge.network.inputs import Batch


@dataclass(frozen=True)
class Inputs:
    """A run's network and images.

    Attributes:
        model: trained, in evaluation mode.
        images: to calibrate on, float32 (n, channels, height, width).
        labels: of these images, int64 (n,); None where the user gave none.
        validation: what no part of pruning sees; None where the user gave none.
    """

    model: nn.Module
    images: Batch
    labels: torch.Tensor | None
    validation: LabelledImages | None

    @property
    def calibration(self) -> LabelledImages:
        """The images with their labels, where they have any."""
        return LabelledImages(self.images, self.labels)


def load_inputs(
    entry: ModelEntry, *, weights: Path | None, data: Path | None, calibration_images: int | None, seed: int
) -> Inputs:
    """Load a network's weights, its own or a user's, and images, its own or a user's.

    Args:
        entry: the network.
        weights: state dict, or the name of published ones; the embedded one when None.
        data: npz file, see `chita_edge.datasets.load_user_data`; the embedded data set when None.
        calibration_images: drawn by `seed`; 1,000, or all there are of fewer, when None.
        seed: of the draw.

    Raises:
        UsageError: there are no embedded weights or images, or not so many images.
        WeightsError, DataError: a file cannot be read or does not fit.
    """
    source = entry.weights_file(weights)
    if source is None:
        raise UsageError(f"The model {entry.name!r} comes without trained weights: it needs --weights FILE.")
    if data is None and entry.dataset is None:
        raise UsageError(f"The model {entry.name!r} comes without images: it needs --data FILE.npz.")
    model = entry.architecture().eval()
    load_weights(model, source)
    if data is not None:
        with torch.inference_mode():
            classes = model(torch.zeros(1, *entry.input_shape)).shape[1]
        own = datasets.load_user_data(data, entry.input_shape, classes, entry.normalisation)
        return Inputs(model, *own.draw(calibration_images, seed), own.validation)
    embedded = datasets.load(str(entry.dataset))
    drawn = embedded.calibration(calibration_images or 1000, seed)
    return Inputs(model, drawn.images, drawn.labels, embedded.test())
