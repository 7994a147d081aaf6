"""A small network to distil, always the same. A module of its own, as killed processes import it by its name."""

from __future__ import annotations

import copy
import os
import signal
from pathlib import Path

import torch
from torch import nn

from chita_edge.tuning import Recipe, distill, recalibrate_batch_norm


def dense_network() -> nn.Sequential:
    """Two convolutions and a classifier of four classes."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Flatten(), nn.Linear(8 * 36, 4),
    )  # fmt: skip
    recalibrate_batch_norm(net, images())
    return net.eval()


def images() -> torch.Tensor:
    """60 images of noise."""
    return torch.randn(60, 2, 8, 8, generator=torch.Generator().manual_seed(1))


def pruned(dense: nn.Sequential) -> tuple[nn.Sequential, dict[str, torch.Tensor]]:
    """A copy whose smaller weights are zero, and its masks."""
    net = copy.deepcopy(dense)
    masks = {}
    with torch.no_grad():
        for name in ("0.weight", "3.weight", "7.weight"):
            weight = net.get_parameter(name)
            masks[name] = weight.abs() > weight.abs().quantile(0.7)
            weight.mul_(masks[name])
    return net, masks


def recipe(**options: object) -> Recipe:
    """Six epochs of four steps, unless told otherwise."""
    return Recipe(**{"epochs": 6, "batch_size": 16, "learning_rate": 3e-3, **options})  # type: ignore[arg-type]


def distill_until(step: int, optimiser: str, checkpoint: Path) -> None:
    """Distil, and kill the own process at this step."""
    torch.set_num_threads(1)
    dense = dense_network()
    student, masks = pruned(dense)

    def progress(stage: str, done: int, total: int) -> None:
        if done == step:
            os.kill(os.getpid(), signal.SIGKILL)

    options = recipe(optimiser=optimiser)
    distill(student, dense, images(), masks, options, checkpoint=checkpoint, progress=progress)
