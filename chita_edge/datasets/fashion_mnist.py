"""Fashion-MNIST (Xiao et al. 2017, arXiv 1708.07747; MIT): the embedded test set and 2,000 training images."""

from __future__ import annotations

from importlib import resources

import numpy as np
import torch
from torch.nn import functional

from chita_edge.datasets.dataset import Dataset

MEAN, STD = 0.2860, 0.3530  # of the 60,000 training images
SIZE = 96
CLASSES = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)


def to_input(images: torch.Tensor, size: int = SIZE) -> torch.Tensor:
    """uint8 (n, 28, 28) → float32 (n, 1, size, size): normalised, then scaled bilinearly."""
    normalised = (images.float().div(255) - MEAN) / STD
    return functional.interpolate(normalised[:, None], size=(size, size), mode="bilinear", align_corners=False)


def load_fashion_mnist() -> Dataset:
    """The embedded splits; the calibration images are of the training set, 200 a class."""
    source = resources.files("chita_edge.datasets") / "files" / "fashion_mnist.npz"
    with source.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        tensors = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    return Dataset(
        name="fashion_mnist",
        classes=CLASSES,
        licence="MIT",
        preprocess=to_input,
        calibration_images=tensors["x_calibration"],
        calibration_labels=tensors["y_calibration"].long(),
        test_images=tensors["x_test"],
        test_labels=tensors["y_test"].long(),
    )
