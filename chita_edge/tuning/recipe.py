"""Recipe of distillation: how a pruned network is trained to imitate the dense one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

RATES = {"sgd": 4e-3, "adam": 1e-3}


@dataclass(frozen=True)
class Recipe:
    """Options of `distill`.

    Attributes:
        epochs: passes over the images, each over newly shifted and flipped views.
        seconds: end earlier, with the learning rate come down to 0 all the same; a limit makes the result depend on the
            machine's speed. None: all epochs.
        optimiser: "sgd" (Nesterov momentum 0.9) or "adam".
        learning_rate: at the start; falls to 0 along a cosine. The optimiser's own in `RATES` when None.
        temperature: T of Hinton et al. 2015 (arXiv 1503.02531): both networks' logits are divided by it.
        batch_size: images a step.
        max_shift: of the views, as a share of an image's side.
        dark: whether shifts uncover dark borders or repeated edges; when None, what the teacher's batch norm knows, see
            `infer_training_augmentation`.
        precision: "bfloat16" for convolutions and products with float32 weights behind them, "float32", or "auto":
            bfloat16 where the processor computes with it.
        seed: of order and views.
    """

    epochs: int
    seconds: float | None = None
    optimiser: Literal["sgd", "adam"] = "sgd"
    learning_rate: float | None = None
    temperature: float = 2.0
    batch_size: int = 50
    max_shift: float = 0.125
    dark: bool | None = None
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    seed: int = 0

    def rate(self, done: float) -> float:
        """Learning rate when the share `done` of the training is over."""
        start = RATES[self.optimiser] if self.learning_rate is None else self.learning_rate
        return start * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
