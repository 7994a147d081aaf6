"""The networks by name: how to build one, what it eats, where its trained weights are, which layers may be pruned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import resources
from pathlib import Path

from torch import nn

from chita_edge.errors import UsageError
from chita_edge.models.mobilenet_v1 import MobileNetV1
from chita_edge.models.prunable import pointwise_and_linear


@dataclass(frozen=True)
class ModelEntry:
    """A network that `chita-edge build` knows.

    `input_shape` is (channels, height, width) of one image; `dataset` names the data set that the embedded weights were
    trained on; `weights` is their file in ``models/files``, None where the user brings them; `prunable` gives
    the names of the weights that may be pruned.
    """

    name: str
    description: str
    architecture: Callable[[], nn.Module]
    input_shape: tuple[int, int, int]
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
        dataset="fashion_mnist",
        weights="mobilenet_v1_050_96_fashion_mnist.safetensors",
    ),
    ModelEntry(
        name="mobilenet_v1",
        description="MobileNetV1, width 1.0, 224×224, ImageNet classes, architecture only",
        architecture=MobileNetV1,
        input_shape=(3, 224, 224),
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
