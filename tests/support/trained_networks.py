"""Tiny networks of several kinds, trained in a second on data that are made up, with metrics of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import nn
from torch.nn import functional

from chita_edge.engine.threads import torch_threads

TRAIN, TEST = 600, 1000
Inputs = tuple[torch.Tensor, ...]


@dataclass(frozen=True)
class Task:
    """A trained network and its data: inputs and labels for calibration and for testing, and a metric."""

    network: nn.Module
    inputs: Inputs
    labels: torch.Tensor
    test_inputs: Inputs
    test_labels: torch.Tensor
    metric: Callable[[torch.Tensor, torch.Tensor], float]

    def score(self, network: nn.Module) -> float:
        """Metric of a network on the test samples."""
        with torch.no_grad():
            return self.metric(network(*self.test_inputs), self.test_labels)


def accuracy(outputs: torch.Tensor, labels: torch.Tensor) -> float:
    """Share of right classes, along the last dimension."""
    return float(
        (outputs.argmax(-1 if labels.ndim > 1 and outputs.shape[1] == labels.shape[1] else 1) == labels).float().mean()
    )


def trained(
    network: nn.Module,
    data: tuple[Inputs, torch.Tensor],
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    metric: Callable[[torch.Tensor, torch.Tensor], float],
    steps: int = 200,
) -> Task:
    """Train a network on the first samples; the others test it."""
    inputs, labels = data
    optimiser = torch.optim.Adam(network.parameters(), 8e-3)
    rng = torch.Generator().manual_seed(0)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    network.train()
    with torch_threads(1):
        for _ in range(steps):
            chosen = torch.randint(0, TRAIN, (64,), generator=rng)
            optimiser.zero_grad()
            loss(network(*(tensor[chosen] for tensor in inputs)), labels[chosen]).backward()
            optimiser.step()
            rate.step()
    network.eval()
    parts = [tuple(tensor[part] for tensor in (*inputs, labels)) for part in (slice(TRAIN), slice(TRAIN, None))]
    (*calibration, known), (*test, judged) = parts
    return Task(network, tuple(calibration), known, tuple(test), judged, metric)


def _rng(seed: int) -> torch.Generator:
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)


@cache
def yes_or_no() -> Task:
    """Points inside or outside a ring, answered by one sigmoid."""
    x = torch.randn(TRAIN + 4000, 8, generator=_rng(0))
    labels = ((x[:, 0] ** 2 + x[:, 1] ** 2).sqrt() + 0.3 * x[:, 2] > 1.2).float()[:, None]
    network = nn.Sequential(
        nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1), nn.Sigmoid()
    )  # fmt: skip
    return trained(
        network,
        ((x,), labels),
        functional.binary_cross_entropy,
        lambda z, y: float(((z > 0.5).float() == y).float().mean()),
    )


class Segmenter(nn.Module):
    """Down by a strided convolution, up by a transposed one."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU())
        self.down = nn.Sequential(nn.Conv2d(12, 24, 3, 2, 1), nn.BatchNorm2d(24), nn.ReLU())
        self.up, self.head = nn.ConvTranspose2d(24, 12, 2, 2), nn.Conv2d(24, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        return self.head(torch.cat([x, self.up(self.down(x)).relu()], 1))


def _discs(count: int, side: int, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    centre, radius = (
        3 + (side - 6) * torch.rand(count, 2, 1, 1, generator=rng),
        2 + 2 * torch.rand(count, 1, 1, generator=rng),
    )
    grid = torch.arange(side)
    inside = ((grid[:, None] - centre[:, 0]) ** 2 + (grid - centre[:, 1]) ** 2).sqrt() < radius
    return inside.float()[:, None] + 0.5 * torch.randn(count, 1, side, side, generator=rng), inside.long()


def intersection_over_union(outputs: torch.Tensor, labels: torch.Tensor) -> float:
    """Of the pixels of class 1."""
    found, known = outputs.argmax(1) == 1, labels == 1
    return float((found & known).sum() / (found | known).sum())


@cache
def segmentation() -> Task:
    """Discs in noise, a class a pixel."""
    images, masks = _discs(TRAIN + 300, 12, _rng(1))
    return trained(Segmenter(), ((images,), masks), functional.cross_entropy, intersection_over_union, 100)


def box_overlap(found: torch.Tensor, known: torch.Tensor) -> float:
    """Mean intersection over union of boxes (x0, y0, x1, y1)."""
    low, high = torch.maximum(found[:, :2], known[:, :2]), torch.minimum(found[:, 2:], known[:, 2:])
    both = (high - low).clamp_min(0).prod(1)
    areas = [(box[:, 2:] - box[:, :2]).clamp_min(0).prod(1) for box in (found, known)]
    return float((both / (areas[0] + areas[1] - both)).mean())


@cache
def boxes() -> Task:
    """The corners of a bright rectangle, as shares of the side."""
    rng = _rng(2)
    corners = torch.rand(TRAIN + 300, 2, generator=rng) * 6
    corners = torch.cat([corners, corners + 4 + 4 * torch.rand(TRAIN + 300, 2, generator=rng)], 1)
    grid = torch.arange(14)
    inside = (grid >= corners[:, :1]) & (grid < corners[:, 2:3])
    images = (((grid >= corners[:, 1:2]) & (grid < corners[:, 3:4]))[:, :, None] & inside[:, None]).float()[:, None]
    network = nn.Sequential(
        nn.Conv2d(1, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 16, 3, 2, 1), nn.BatchNorm2d(16),
        nn.ReLU(), nn.Flatten(), nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, 4),
    )  # fmt: skip
    noisy = images + 0.1 * torch.randn(images.shape, generator=rng)
    return trained(network, ((noisy,), corners / 14), functional.smooth_l1_loss, box_overlap)


class Tower(nn.Module):
    """Two inputs: a small image and a vector."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Sequential(nn.Conv2d(1, 12, 3), nn.ReLU(), nn.Conv2d(12, 24, 3), nn.ReLU())
        self.vector = nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU())
        self.head = nn.Sequential(nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, 4))

    def forward(self, image: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
        return self.head(torch.cat([self.image(image).mean((2, 3)), self.vector(vector)], 1))


@cache
def two_inputs() -> Task:
    """Whether the image is bright, and whether the vector points up: four classes."""
    rng = _rng(3)
    bright = torch.randint(0, 2, (TRAIN + TEST,), generator=rng)
    images = bright[:, None, None, None] * 0.8 + 0.6 * torch.randn(TRAIN + TEST, 1, 8, 8, generator=rng)
    vectors = torch.randn(TRAIN + TEST, 6, generator=rng)
    labels = 2 * bright + (vectors[:, 0] + vectors[:, 1] > 0).long()
    return trained(Tower(), ((images, vectors), labels), functional.cross_entropy, accuracy)


class Tagger(nn.Module):
    """A class a token: an embedding, a transformer's layer, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.place = nn.Embedding(12, 24), nn.Parameter(0.1 * torch.randn(10, 24))
        self.layer, self.head = nn.TransformerEncoderLayer(24, 2, 48, 0.0, batch_first=True), nn.Linear(24, 3)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.layer(self.table(ids) + self.place))


@cache
def tokens() -> Task:
    """A token's remainder by 3, or that of a shifted one where the sentence begins with a large token."""
    ids = torch.randint(0, 12, (TRAIN + 300, 10), generator=_rng(4))
    labels = (ids + (ids[:, :1] > 5)) % 3
    return trained(
        Tagger(), ((ids,), labels), lambda z, y: functional.cross_entropy(z.flatten(0, 1), y.flatten()), accuracy, 300
    )


@cache
def activity() -> Task:
    """Oscillations of four frequencies on three axes, in noise."""
    rng = _rng(5)
    labels = torch.randint(0, 4, (TRAIN + TEST,), generator=rng)
    phase = 6.3 * torch.rand(TRAIN + TEST, 3, 1, generator=rng)
    time = torch.arange(48) / 48
    series = torch.sin(6.3 * (2 + 2 * labels)[:, None, None] * time + phase) + torch.randn(
        len(labels), 3, 48, generator=rng
    )
    network = nn.Sequential(
        nn.Conv1d(3, 16, 5, padding=2), nn.BatchNorm1d(16), nn.ReLU(), nn.Conv1d(16, 32, 5, 2, 2), nn.BatchNorm1d(32),
        nn.ReLU(), nn.Conv1d(32, 32, 3, 2, 1), nn.BatchNorm1d(32), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(),
        nn.Linear(32, 4),
    )  # fmt: skip
    return trained(network, ((series,), labels), functional.cross_entropy, accuracy, 150)
