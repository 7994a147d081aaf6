"""Trained network and images of a run, embedded or the user's: to calibrate on and to judge on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from chita_edge import datasets
from chita_edge.datasets import LabelledImages
from chita_edge.datasets.opened import open_data
from chita_edge.datasets.transform import TransformConfig
from chita_edge.deploy.doors import Door, OwnNetwork, settle
from chita_edge.errors import UsageError
from chita_edge.models import ModelEntry, load_weights
from chita_edge.network.inputs import Batch

_IMAGE = 3  # dimensions of (channels, height, width)


@dataclass(frozen=True)
class Inputs:
    """A run's network and images.

    Attributes:
        model: trained, in evaluation mode.
        images: to calibrate on, float32 (n, channels, height, width).
        labels: of these images, int64 (n,); None where the user gave none.
        validation: what no part of pruning sees; None where the user gave none.
        notes: what was done to read the network, and what was left out of the data, one sentence each.
        held_out: further images to calibrate on, which were not drawn: to choose among networks that were fitted on
            ``images``.
    """

    model: nn.Module
    images: Batch
    labels: Any
    validation: LabelledImages | None
    notes: tuple[str, ...] = ()
    held_out: LabelledImages | None = None

    def split(self, least: int = 200) -> tuple[Inputs, LabelledImages]:
        """Inputs to fit on, and images to choose by; a fifth of the drawn ones where there are few others."""
        if self.held_out is not None and len(self.held_out) >= least:
            return self, self.held_out
        count = len(self.images) - max(1, len(self.images) // 5)
        parts = (slice(None, count), slice(count, None))
        fit, rest = (
            LabelledImages(self.images[part], None if self.labels is None else self.labels[part]) for part in parts
        )
        return replace(self, images=fit.images, labels=fit.labels), rest

    @property
    def calibration(self) -> LabelledImages:
        """The images with their labels, where they have any."""
        return LabelledImages(self.images, self.labels)


def load_inputs(
    entry: Door,
    *,
    weights: Path | None,
    data: str | Path | None,
    validation: str | Path | None = None,
    calibration_images: int | None,
    seed: int,
    transform: TransformConfig | None = None,
) -> Inputs:
    """Load a network's weights, its own or a user's, and images, its own or a user's.

    Args:
        entry: the network, with its weights if it is the user's own.
        weights: state dict, or the name of published ones; the embedded one when None.
        data: npz file, see `chita_edge.datasets.load_user_data`, or another door of `open_data`; the embedded data set
            when None.
        validation: the same of the samples to judge on.
        calibration_images: drawn by `seed`; 1,000, or all there are of fewer, when None.
        seed: of the draw.
        transform: of images; scaled to the network's size and normalised as its training images when None.

    Raises:
        UsageError: there are no embedded weights or images, or not so many images.
        WeightsError, DataError: a file cannot be read or does not fit.
    """
    if isinstance(entry, OwnNetwork):
        if data is None:
            raise UsageError(f"The network {entry.name!r} comes without samples: it needs --data SOURCE.")
        inputs = open_inputs(
            entry.model,
            data,
            validation=validation,
            calibration_images=calibration_images,
            seed=seed,
            transform=transform,
        )
        return replace(inputs, notes=(*entry.notes, *inputs.notes, *settle(entry.model, inputs.images[:2])))
    source = entry.weights_file(weights)
    if source is None:
        raise UsageError(f"The model {entry.name!r} comes without trained weights: it needs --weights FILE.")
    if data is None and entry.dataset is None:
        raise UsageError(f"The model {entry.name!r} comes without images: it needs --data SOURCE.")
    model = entry.architecture().eval()
    notes = load_weights(model, source)
    if data is not None and (Path(data).suffix != ".npz" or validation is not None or transform is not None):
        inputs = open_inputs(
            model,
            data,
            validation=validation,
            calibration_images=calibration_images,
            seed=seed,
            transform=transform,
            usual=_usual(entry),
        )
        return replace(inputs, notes=(*notes, *inputs.notes))
    if data is not None:
        data = Path(data)
        with torch.inference_mode():
            classes = model(torch.zeros(1, *entry.input_shape)).shape[1]
        own = datasets.load_user_data(data, entry.input_shape, classes, entry.normalisation)
        images, labels = own.draw(calibration_images, seed)
        return Inputs(model, images, labels, own.validation, notes, held_out=own.held_out(len(images), seed))
    embedded = datasets.load(str(entry.dataset))
    drawn = embedded.calibration(calibration_images or 1000, seed)
    return Inputs(
        model, drawn.images, drawn.labels, embedded.test(), notes, held_out=embedded.held_out(len(drawn), seed)
    )


def open_inputs(
    model: nn.Module,
    data: str | Path,
    *,
    validation: str | Path | None = None,
    calibration_images: int | None,
    seed: int,
    transform: TransformConfig | None = None,
    usual: TransformConfig | None = None,
) -> Inputs:
    """Inputs of any network from a user's data, see `chita_edge.datasets.opened.open_data`.

    Args:
        model: in evaluation mode.
        data: source of the calibration samples.
        validation: of those to judge on; others than were drawn, where there are more, when None.
        calibration_images: as in `load_inputs`.
        seed: of the draw.
        transform: of images.
        usual: the transform where none is given.

    Raises:
        DataError, UsageError: see `open_data`.
    """
    found = open_data(
        data, model, validation=validation, count=calibration_images, seed=seed, transform=transform, usual=usual
    )
    calibration = found.calibration.float32()
    judging = None if found.seen else found.judging.float32()
    return Inputs(model, calibration.images, calibration.labels, judging, notes=found.notes)


def _usual(entry: ModelEntry) -> TransformConfig | None:
    """The transform of images for a registered network: its size and the normalisation of its training images."""
    normal = entry.normalisation
    if normal is None or len(entry.input_shape) != _IMAGE:
        return None
    channels, height, width = entry.input_shape
    return TransformConfig(
        colour="grey" if channels == 1 else "rgb", resize=(height, width), mean=normal.mean, std=normal.std
    )
