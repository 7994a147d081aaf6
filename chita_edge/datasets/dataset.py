"""Labelled image data set, split into calibration and test images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from chita_edge.errors import UsageError
from chita_edge.network.inputs import Batch, SeveralInputs


@dataclass(frozen=True)
class LabelledImages:
    """Network inputs, float32 (n, …) such as (n, channels, height, width), and class numbers, int64 (n,).

    Inputs may be whole numbers, such as token ids, and several tensors (`SeveralInputs`).

    Labels may be None where nothing compares with them, int64 (n, height, width) for a class a pixel, floating for
    targets of the network's output, or several tensors for a loss of the user's own.
    """

    images: Batch
    labels: Any = None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, chosen: slice | torch.Tensor) -> LabelledImages:
        return LabelledImages(self.images[chosen], None if self.labels is None else self.labels[chosen])

    def tensors(self) -> dict[str, torch.Tensor]:
        """Images and labels by these names."""
        images = {"images": self.images} if isinstance(self.images, torch.Tensor) else _prefixed(self.images)
        if isinstance(self.labels, SeveralInputs):
            return images | {f"labels {name}": tensor for name, tensor in self.labels.named().items()}
        return images | ({} if self.labels is None else {"labels": self.labels})

    def to(self, device: torch.device) -> LabelledImages:
        """The same on a device."""
        return LabelledImages(self.images.to(device), None if self.labels is None else self.labels.to(device))

    def float32(self) -> LabelledImages:
        """A copy whose floating images are float32."""
        if isinstance(self.images, torch.Tensor) and not self.images.is_floating_point():
            return self
        return replace(self, images=self.images.float())


def _prefixed(inputs: SeveralInputs) -> dict[str, torch.Tensor]:
    return {f"images {name}": tensor for name, tensor in inputs.named().items()}


@dataclass(frozen=True)
class Dataset:
    """Raw images of two disjoint splits with the preprocessing that turns them into network inputs.

    Raw images are uint8 and as small as the source has them; they are scaled to the network's size only when asked for.
    """

    name: str
    classes: tuple[str, ...]
    licence: str
    preprocess: Callable[[torch.Tensor], torch.Tensor]
    calibration_images: torch.Tensor
    calibration_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor

    def calibration(self, n: int | None = None, seed: int = 0) -> LabelledImages:
        """`n` of the calibration images (all if None), drawn without replacement; UsageError if too many."""
        available = len(self.calibration_labels)
        count = available if n is None else n
        if not 1 <= count <= available:
            raise UsageError(
                f"The data set {self.name} has {available} calibration images, {count} cannot be drawn from them."
            )
        return self._chosen(torch.randperm(available, generator=torch.Generator().manual_seed(seed))[:count])

    def held_out(self, n: int, seed: int = 0, most: int = 1000) -> LabelledImages:
        """Calibration images that `calibration(n, seed)` does not draw, at most so many."""
        order = torch.randperm(len(self.calibration_labels), generator=torch.Generator().manual_seed(seed))
        return self._chosen(order[n : n + most])

    def _chosen(self, chosen: torch.Tensor) -> LabelledImages:
        return LabelledImages(self.preprocess(self.calibration_images[chosen]), self.calibration_labels[chosen])

    def test(self, n: int | None = None) -> LabelledImages:
        """The first `n` test images (all if None), which no part of pruning sees."""
        return LabelledImages(self.preprocess(self.test_images[:n]), self.test_labels[:n])
