"""The tasks of transfer.py: images to learn from, to choose learning rates by, and to be judged on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from chita_edge import datasets
from chita_edge.datasets import LabelledImages
from chita_edge.datasets.fashion_mnist import to_input

SIDE, VALIDATION, TEST = 48, 300, 500
TUNING_SEED = 1000


@dataclass(frozen=True)
class Task:
    """Images of 48×48 pixels to learn from, to choose learning rates by, and to be judged on."""

    name: str
    train: LabelledImages
    validation: LabelledImages
    test: LabelledImages


def task(name: str, images: torch.Tensor, labels: torch.Tensor, test: LabelledImages) -> Task:
    """A task whose validation images are drawn from those to learn from, which then lack them."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(TUNING_SEED))
    parts = (order[VALIDATION:], order[:VALIDATION])
    train, validation = (LabelledImages(images[part], labels[part]) for part in parts)
    return Task(name, train, validation, test)


def tasks(data: Path | None) -> Iterator[Task]:
    """The tasks made from the data at hand."""
    fashion = datasets.load("fashion_mnist")

    def turned(images: torch.Tensor) -> torch.Tensor:
        return to_input(255 - images.rot90(1, (1, 2)), SIDE)

    yield task(
        "turned",
        turned(fashion.calibration_images),
        fashion.calibration_labels,
        LabelledImages(turned(fashion.test_images[:TEST]), fashion.test_labels[:TEST]),
    )
    if data is not None:
        with np.load(data, allow_pickle=False) as arrays:
            grey = {part: torch.from_numpy(arrays[f"x_{part}"].mean(3)) for part in ("calib", "val")}
            labels = {part: torch.from_numpy(arrays[f"y_{part}"]).long() for part in ("calib", "val")}
        chosen = torch.randperm(len(labels["val"]), generator=torch.Generator().manual_seed(0))[:TEST]  # may be sorted
        yield task(
            "npz",
            to_input(grey["calib"], SIDE),
            labels["calib"],
            LabelledImages(to_input(grey["val"][chosen], SIDE), labels["val"][chosen]),
        )
