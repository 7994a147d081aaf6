"""Distillation through the rounding: an integer network learns the dense network's answers."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from chita_edge.network.inputs import call
from chita_edge.progress import Progress, silent
from chita_edge.quantization.errors import QuantizationError
from chita_edge.quantization.fake import FakeQuantised

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from chita_edge.network.inputs import Batch
    from chita_edge.quantization.network import QuantisedNetwork

    Views = Callable[[Batch, torch.Generator], Batch]


@dataclass(frozen=True)
class DistillConfig:
    """How `distill_through_rounding` trains.

    Attributes:
        epochs: passes over the images.
        learning_rate: of Adam at the start, as a share of a row's largest weight; falls to 0 along a cosine.
        temperature: both networks' logits are divided by it.
        batch_size: images a step.
        seed: of the order and of the views.
        seconds: after which the training ends, whatever is left of its epochs; the rate has fallen to 0 by then.
    """

    epochs: int = 20
    learning_rate: float = 3e-3
    temperature: float = 4.0
    batch_size: int = 50
    seed: int = 0
    seconds: float | None = None

    def rate(self, done: float) -> float:
        """Learning rate when the share ``done`` of the training is over."""
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def distill_through_rounding(
    network: QuantisedNetwork,
    teacher: Callable[..., torch.Tensor],
    images: Batch,
    config: DistillConfig,
    *,
    views: Views | None = None,
    progress: Progress = silent,
) -> QuantisedNetwork:
    """Train an integer network to answer as the teacher does; masks, weight scales and activation grids stay.

    The loss is T² · KL(teacher ‖ student) of the class probabilities at temperature T (Hinton et al. 2015); of outputs
    that are not logits, the mean squared difference. Real weights are trained in front of the rounding
    (`FakeQuantised`), so what the loss sees at the end is what the integers compute.

    Args:
        network: integers; not changed.
        teacher: the dense network; images to logits.
        images: unlabelled, float32 (n, …).
        config: how.
        views: random variations of a batch of images; none when None.
        progress: called with stage "distill".

    Raises:
        QuantizationError: the loss is not finite.
    """
    student = FakeQuantised(network)
    optimiser = torch.optim.Adam(student.parameters(), lr=config.learning_rate)
    steps = -(-len(images) // config.batch_size)
    total = config.epochs * steps
    started, share = time.monotonic(), 0.0
    progress("distill", 0, total)
    for epoch in range(config.epochs):
        rng = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
        for step, batch in enumerate(_batches(images, config.batch_size, rng)):
            varied = batch if views is None else views(batch, rng)
            if isinstance(varied, torch.Tensor) and varied.dim() == 4:
                varied = varied.contiguous(memory_format=torch.channels_last)
            with torch.no_grad():
                wanted = call(teacher, varied)
            share = (epoch * steps + step) / total
            if config.seconds is not None:
                share = max(share, (time.monotonic() - started) / config.seconds)
            if share >= 1:
                progress("distill", total, total)
                return student.to_network()
            for group in optimiser.param_groups:
                group["lr"] = config.rate(share)
            loss = _loss(student(varied), wanted, config.temperature)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            if not bool(torch.isfinite(loss)):
                raise QuantizationError(
                    f"The loss of the distillation is not finite in epoch {epoch}; a smaller learning rate helps."
                )
            progress("distill", epoch * steps + step + 1, total)
    return student.to_network()


def _batches(images: Batch, size: int, rng: torch.Generator) -> Iterable[Batch]:
    for chosen in torch.split(torch.randperm(len(images), generator=rng), size):
        yield images[chosen]


def _loss(answers: torch.Tensor, wanted: torch.Tensor, temperature: float) -> torch.Tensor:
    if answers.dim() != 2 or answers.shape[1] < 2:
        return (answers - wanted).square().mean()
    given, target = (functional.log_softmax(values / temperature, dim=1) for values in (answers, wanted))
    return temperature**2 * functional.kl_div(given, target, reduction="batchmean", log_target=True)
