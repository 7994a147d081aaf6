"""Registry of networks: architecture, input shape, trained weights, prunable layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import resources
from pathlib import Path

import torch
from torch import nn

from chita_edge.errors import UsageError
from chita_edge.models.mobilenet_v1 import MobileNetV1
from chita_edge.models.mobilenet_v2 import MobileNetV2
from chita_edge.models.resnet import ResNet50
from chita_edge.models.resnet20_cifar import ResNet20Cifar
from chita_edge.network.targets import convolutions_and_linear, pointwise_and_linear, without_shortcuts


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation of each channel over the training images, in units of the largest pixel value."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Network inputs, float32, of uint8 images (n, channels, height, width)."""
        mean, std = (torch.tensor(values)[:, None, None] for values in (self.mean, self.std))
        return (images.float() / 255 - mean) / std


IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True)
class ModelEntry:
    """A network that `chita-edge build` knows.

    `input_shape` is (channels, height, width) of one image; `dataset` names the data set that the embedded weights were
    trained on; `weights` is their file in ``models/files``, None where the user brings them; `prunable` gives
    the names of the weights that may be pruned; `normalisation` makes network inputs of a user's uint8 images.
    """

    name: str
    description: str
    architecture: Callable[[], nn.Module]
    input_shape: tuple[int, int, int]
    normalisation: Normalisation
    dataset: str | None = None
    weights: str | None = None
    prunable: Callable[[nn.Module], tuple[str, ...]] = pointwise_and_linear

    @property
    def embedded_weights(self) -> Path | None:
        """Path of the embedded weights, None if there are none."""
        return (
            None if self.weights is None else Path(str(resources.files("chita_edge.models") / "files" / self.weights))
        )


_ENTRIES = (
    ModelEntry(
        name="mobilenet",
        description="MobileNetV1, width 0.5, 96×96, one channel, trained on Fashion-MNIST",
        architecture=partial(MobileNetV1, width=0.5, num_classes=10, in_channels=1),
        input_shape=(1, 96, 96),
        normalisation=Normalisation((0.2860,), (0.3530,)),
        dataset="fashion_mnist",
        weights="mobilenet_v1_050_96_fashion_mnist.safetensors",
    ),
    ModelEntry(
        name="mobilenet_v1",
        description="MobileNetV1, width 1.0, 224×224, ImageNet classes",
        architecture=MobileNetV1,
        input_shape=(3, 224, 224),
        normalisation=IMAGENET,
    ),
    ModelEntry(
        name="mobilenet_v2",
        description="MobileNetV2, width 1.0, 224×224, ImageNet classes, torchvision's names",
        architecture=MobileNetV2,
        input_shape=(3, 224, 224),
        normalisation=IMAGENET,
    ),
    ModelEntry(
        name="resnet20_cifar",
        description="ResNet-20, 32×32, CIFAR-10 classes; its shortcuts' convolutions stay dense",
        architecture=ResNet20Cifar,
        input_shape=(3, 32, 32),
        normalisation=Normalisation((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
        prunable=without_shortcuts,
    ),
    ModelEntry(
        name="resnet50",
        description="ResNet-50, 224×224, ImageNet classes, torchvision's names",
        architecture=ResNet50,
        input_shape=(3, 224, 224),
        normalisation=IMAGENET,
        prunable=convolutions_and_linear,
    ),
)
MODELS: dict[str, ModelEntry] = {entry.name: entry for entry in _ENTRIES}


def get_model(name: str) -> ModelEntry:
    """The network called `name`; raises UsageError with the names there are."""
    if name not in MODELS:
        raise UsageError(
            f"There is no model {name!r}; there are {', '.join(sorted(MODELS))} (see `chita-edge models`)."
        )
    return MODELS[name]
