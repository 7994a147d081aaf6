"""Small networks of kinds that users bring, each with an example of its inputs; their weights are random, and mostly 0.

Wake word, optical character recognition, sensors, detection, segmentation, super-resolution, tokens, two inputs.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional


class WakeWordHead(nn.Module):
    """Three linear layers on 16 frames of 96 features (openWakeWord's heads)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(1536, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.layers(x.flatten(1)))


class WakeWordEmbedding(nn.Module):
    """Convolutions over mel frames, time and frequency apart, with padding of its own."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.ZeroPad2d((1, 1, 0, 0)), nn.Conv2d(1, 24, (3, 3)), nn.LeakyReLU(0.2)]
        for inputs, outputs in ((24, 24), (24, 48), (48, 48), (48, 72)):
            layers += [
                nn.ZeroPad2d((1, 1, 0, 0)),
                nn.Conv2d(inputs, outputs, (1, 3)),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
            ]
            layers += [nn.Conv2d(outputs, outputs, (3, 1)), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d((2, 2))]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x).mean((2, 3))


class Crnn(nn.Module):
    """Convolutions, a recurrent layer in both directions over the columns, a linear layer for each."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs, pool in ((1, 32, (2, 2)), (32, 64, (2, 2)), (64, 128, (2, 1)), (128, 128, (4, 1))):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(pool)]
        self.features = nn.Sequential(*layers)
        self.recurrent = nn.LSTM(128, 64, bidirectional=True, batch_first=True)
        self.head = nn.Linear(128, 40)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.features(x).squeeze(2).transpose(1, 2)
        return self.head(self.recurrent(x)[0])


class Sensor(nn.Module):
    """Convolutions over time of six channels (activities on a watch)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv1d(6, 64, 5, padding=2), nn.BatchNorm1d(64), nn.ReLU()),
            *(nn.Conv1d(64, 128, 5, stride=2, padding=2), nn.BatchNorm1d(128), nn.ReLU()),
            *(nn.Conv1d(128, 128, 3, padding=1), nn.BatchNorm1d(128), nn.ReLU()),
            *(nn.Conv1d(128, 128, 1), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(128, 6)),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class Causal(nn.Module):
    """Dilated causal convolutions with residuals over a waveform (temporal convolution network)."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(1, 64, 1)
        self.blocks = nn.ModuleList(nn.Conv1d(64, 64, 3, dilation=2**i) for i in range(4))
        self.head = nn.Conv1d(64, 10, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        for block in self.blocks:
            x = functional.relu(x + block(functional.pad(x, (2 * block.dilation[0], 0))))
        return self.head(x)


class Detector(nn.Module):
    """Split, blocks, concatenation, upsampling, two heads on two scales (YOLO's)."""

    def __init__(self) -> None:
        super().__init__()

        def conv(inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> nn.Sequential:
            window = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
            return nn.Sequential(window, nn.BatchNorm2d(outputs), nn.SiLU())

        self.stem, self.down = conv(3, 32, 3, 2), conv(32, 64, 3, 2)
        self.split, self.blocks = conv(64, 64), nn.ModuleList(conv(32, 32, 3) for _ in range(2))
        self.join, self.deep = conv(128, 64), conv(64, 96, 3, 2)
        self.narrow, self.merge = conv(96, 64), conv(128, 64)
        self.heads = nn.ModuleList((nn.Conv2d(64, 21, 1), nn.Conv2d(96, 21, 1)))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.split(self.down(self.stem(x)))
        parts = list(x.chunk(2, 1))
        for block in self.blocks:
            parts.append(block(parts[-1]))
        near = self.join(torch.cat(parts, 1))
        far = self.deep(near)
        near = self.merge(torch.cat((near, functional.interpolate(self.narrow(far), scale_factor=2.0)), 1))
        return torch.sigmoid(self.heads[0](near)), torch.sigmoid(self.heads[1](far))


class Segmentation(nn.Module):
    """A U-Net whose way up is transposed convolutions."""

    def __init__(self) -> None:
        super().__init__()

        def pair(inputs: int, outputs: int) -> nn.Sequential:
            first, second = nn.Conv2d(inputs, outputs, 3, padding=1), nn.Conv2d(outputs, outputs, 3, padding=1)
            return nn.Sequential(first, nn.ReLU(), second, nn.ReLU())

        self.down = nn.ModuleList((pair(3, 24), pair(24, 48), pair(48, 96)))
        self.up = nn.ModuleList((nn.ConvTranspose2d(96, 48, 2, 2), nn.ConvTranspose2d(48, 24, 2, 2)))
        self.across = nn.ModuleList((pair(96, 48), pair(48, 24)))
        self.head = nn.Conv2d(24, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = []
        for index, block in enumerate(self.down):
            x = block(x)
            if index < 2:
                kept.append(x)
                x = functional.max_pool2d(x, 2)
        for up, across in zip(self.up, self.across, strict=True):
            x = across(torch.cat((up(x), kept.pop()), 1))
        return self.head(x)


class SuperResolution(nn.Module):
    """Convolutions and a pixel shuffle."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(1, 64, 5, padding=2), nn.Tanh(), nn.Conv2d(64, 32, 3, padding=1), nn.Tanh()),
            *(nn.Conv2d(32, 9, 3, padding=1), nn.PixelShuffle(3)),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class Tokens(nn.Module):
    """Two encoder layers on embedded tokens, a class for each."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(500, 128)
        self.attention = nn.ModuleList(nn.ModuleList(nn.Linear(128, 128) for _ in range(4)) for _ in range(2))
        self.feed = nn.ModuleList(nn.Sequential(nn.Linear(128, 512), nn.GELU(), nn.Linear(512, 128)) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(128) for _ in range(4))
        self.head = nn.Linear(128, 9)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embedding(x)
        for index, (layers, feed) in enumerate(zip(self.attention, self.feed, strict=True)):
            y = self.norms[2 * index](x)
            heads = [layer(y).unflatten(2, (4, 32)).transpose(1, 2) for layer in list(layers)[:3]]
            weights = torch.softmax(heads[0] @ heads[1].transpose(2, 3) / 32**0.5, -1)
            x = x + layers[3]((weights @ heads[2]).transpose(1, 2).flatten(2))
            x = x + feed(self.norms[2 * index + 1](x))
        return self.head(x)


class TwoInputs(nn.Module):
    """An image and numbers beside it, a box."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Sequential(nn.Conv2d(3, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU())
        self.numbers, self.head = nn.Linear(12, 64), nn.Linear(128, 4)

    def forward(self, image: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        both = torch.cat((self.image(image).mean((2, 3)), functional.relu(self.numbers(numbers))), 1)
        return self.head(both)


class Unrolled(nn.Module):
    """A recurrent cell over eight steps, as exporters unroll it: two weights that many nodes share."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.head = nn.Linear(128, 128), nn.Linear(128, 128), nn.Linear(128, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state = torch.zeros_like(x)
        for _ in range(8):
            state = torch.tanh(self.a(x) + self.b(state))
        return self.head(state)


STRANGERS: dict[str, tuple[Callable[[], nn.Module], tuple[tuple[int, ...], ...]]] = {
    "wake word, head": (WakeWordHead, ((16, 96),)),
    "wake word, embedding": (WakeWordEmbedding, ((1, 76, 32),)),
    "crnn": (Crnn, ((1, 32, 128),)),
    "sensor": (Sensor, ((6, 128),)),
    "causal": (Causal, ((1, 400),)),
    "detector": (Detector, ((3, 128, 128),)),
    "segmentation": (Segmentation, ((3, 64, 64),)),
    "super-resolution": (SuperResolution, ((1, 72, 72),)),
    "tokens": (Tokens, ((64,),)),
    "two inputs": (TwoInputs, ((3, 64, 64), (12,))),
    "unrolled": (Unrolled, ((128,),)),
}
"""By name, the network and the shape of a sample of each of its inputs."""


def stranger(name: str) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The network, 80 % of each weight but those of its first layer 0, and two samples; in evaluation mode."""
    torch.manual_seed(0)
    kind, shapes = STRANGERS[name]
    network = kind().eval()
    with torch.no_grad():
        for weight in list(network.parameters())[1:]:
            if weight.ndim > 1:
                weight[torch.rand_like(weight) < 0.8] = 0
    if kind is Tokens:
        return network, (torch.randint(0, 500, (2, *shapes[0])),)
    return network, tuple(torch.randn(2, *shape) for shape in shapes)
