"""A small network that `build` knows once it is registered here, with weights and images: a build takes a second.

A module of its own, as processes that tests start import it by its name.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import nn

from chita_edge.models import MODELS, ModelEntry
from chita_edge.models.registry import Normalisation
from chita_edge.tuning import recalibrate_batch_norm

NAME = "tiny"
_SHAPE = (1, 16, 16)


class TinyNet(nn.Module):
    """A stem, a depthwise and two pointwise layers and a classifier of ten classes."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Sequential(nn.Conv2d(1, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6()),
            nn.Sequential(nn.Conv2d(16, 16, 3, 1, 1, groups=16, bias=False), nn.BatchNorm2d(16), nn.ReLU6()),
            nn.Sequential(nn.Conv2d(16, 64, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU6()),
            nn.Sequential(nn.Conv2d(64, 64, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU6()),
        )
        self.classifier = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (n, 10) of images (n, 1, 16, 16)."""
        answers: torch.Tensor = self.classifier(self.features(x).mean((2, 3)))
        return answers


ENTRY = ModelEntry(
    name=NAME,
    description="four convolutions and a classifier",
    architecture=TinyNet,
    input_shape=_SHAPE,
    normalisation=Normalisation((0.5,), (0.3,)),
)


def register() -> None:
    """Let this process know the network, for as long as it lives."""
    MODELS[NAME] = ENTRY


def program(before: str = "") -> list[str]:
    """The command line of a process of its own that knows the network; `before` is Python that runs first."""
    start = [f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})", "import tiny_network"]
    end = ["tiny_network.register()", "from chita_edge.cli import main", "main()"]
    return [sys.executable, "-c", "\n".join([*start, before, *end])]


def write_inputs(folder: Path) -> tuple[Path, Path]:
    """Write weights with the statistics of their images, and 64 + 32 images labelled with the network's answers."""
    torch.manual_seed(0)
    model = TinyNet()
    pixels = np.random.default_rng(0).integers(0, 256, (96, 16, 16, 1), np.uint8)
    images = ENTRY.normalisation(torch.from_numpy(pixels).permute(0, 3, 1, 2))
    recalibrate_batch_norm(model, images)
    with torch.no_grad():
        answers = model.eval()(images)
        # Each class is the answer to some of the images.
        model.classifier.bias -= answers.mean(0)
        labels = model(images).argmax(1).numpy()
    weights, data = folder / "tiny.safetensors", folder / "tiny.npz"
    safetensors.torch.save_file(model.state_dict(), weights)
    np.savez(data, x_calib=pixels[:64], y_calib=labels[:64], x_val=pixels[64:], y_val=labels[64:])
    return weights, data
