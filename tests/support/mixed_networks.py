"""Small networks of integer parts with float32 ones between them."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class SmallMixed(nn.Module):
    """Attention over the pixels with a sum around it, an upsampling, activations as tables, probabilities."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 12, 3, 2, 1), nn.BatchNorm2d(12), nn.LeakyReLU(0.1))
        self.second = nn.Sequential(nn.Conv2d(12, 16, 3, 1, 1), nn.BatchNorm2d(16), nn.ReLU())
        self.norm, self.query, self.out = nn.LayerNorm(16), nn.Linear(16, 48), nn.Linear(16, 16)
        self.down = nn.Conv2d(16, 24, 3, 2, 1)
        self.last = nn.Sequential(nn.Conv2d(40, 24, 1), nn.GELU(), nn.Dropout2d())
        self.classifier = nn.Linear(24, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.second(self.stem((x - 0.5) * 2))
        count, channels, height, width = x.shape
        tokens = self.norm(x.flatten(2).transpose(1, 2))
        query, key, value = self.query(tokens).reshape(count, -1, 3, channels).unbind(2)
        tokens = self.out((query @ key.transpose(1, 2) * 0.25).softmax(-1) @ value)
        x = x + tokens.transpose(1, 2).reshape(count, channels, height, width)
        y = functional.interpolate(self.down(x), scale_factor=2.0, mode="nearest")
        return self.classifier(self.last(torch.cat((y, x), 1)).mean((2, 3))).softmax(1)


class SmallMixedSeries(nn.Module):
    """Series through a norm of groups, weights that sum to one beside a mean, and an input that is normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv1d(3, 8, 5, padding=2), nn.GroupNorm(2, 8)
        self.second = nn.Sequential(nn.Conv1d(8, 8, 3, padding=1), nn.ReLU())
        self.head = nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x / (x.std(2, keepdim=True) + 0.1))
        x = self.second(functional.relu_(self.norm(x)))
        return self.head(torch.cat((x.mean(2), (x.softmax(2) * x).sum(2)), 1))


class SmallTwo(nn.Module):
    """An image, a few features and a token of each sample."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 16, 3, 1, 1)
        self.features, self.token, self.head = nn.Linear(5, 16), nn.Embedding(7, 16), nn.Linear(48, 4)

    def forward(self, image: torch.Tensor, row: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.second(torch.relu(self.first(image)))).mean((2, 3))
        return self.head(torch.cat((x, torch.relu(self.features(row)), self.token(token)), 1))


def two(count: int, seed: int = 0, side: int = 12) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Random inputs of `SmallTwo`."""
    rng = torch.Generator().manual_seed(seed)
    image, row = torch.randn(count, 3, side, side, generator=rng), torch.randn(count, 5, generator=rng)
    return image, row, torch.randint(0, 7, (count,), generator=rng)


class SmallTokens(nn.Module):
    """Labels of patches: linear layers on the tokens of each image, attention and norms in float32 between them."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.place = nn.Conv2d(3, 16, 4, 4), nn.Parameter(torch.randn(1, 9, 16))
        self.norm, self.query, self.out = nn.LayerNorm(16), nn.Linear(16, 48), nn.Linear(16, 16)
        self.wide = nn.Sequential(nn.LayerNorm(16), nn.Linear(16, 32), nn.GELU(), nn.Dropout(), nn.Linear(32, 16))
        self.head = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2) + self.place
        query, key, value = self.query(self.norm(x)).chunk(3, -1)
        x = x + self.out((query @ key.transpose(1, 2) * 0.25).softmax(-1) @ value)
        return self.head(x + self.wide(x))


class FewTokens(nn.Module):
    """Linear layers on the tokens of each image, and what they give."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.first, self.second = nn.Conv2d(3, 16, 4, 4), nn.Linear(16, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.relu(self.first(self.patches(x).flatten(2).transpose(1, 2))))


class SmallNext(nn.Module):
    """A depthwise convolution, and linear layers on the channels of each pixel, which are last there."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.depthwise = nn.Conv2d(3, 16, 2, 2), nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.norm, self.up, self.down = nn.LayerNorm(16), nn.Linear(16, 32), nn.Linear(32, 16)
        self.head = nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        return self.head((x + self.down(functional.gelu(self.up(y))).permute(0, 3, 1, 2)).mean((2, 3)))
