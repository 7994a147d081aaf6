from __future__ import annotations

import pytest
import torch
from small_networks import SmallMobile, SmallResidual, pictures, settled
from torch import nn

from chita_edge.models import get_model
from chita_edge.quantization import UnsupportedNetworkError, trace


@pytest.mark.parametrize("kind", [SmallResidual, SmallMobile])
def test_is_the_networks_function_with_batch_norm_folded(kind: type[nn.Module]) -> None:
    model, images = settled(kind), pictures(4)
    graph = trace(model)
    with torch.no_grad():
        torch.testing.assert_close(graph(images), model(images), rtol=1e-4, atol=1e-5)
    assert not [step for step in graph.steps if "norm" in step.name]


@pytest.mark.parametrize("name", ["mobilenet", "resnet20_cifar", "mobilenet_v2", "resnet50"])
def test_knows_our_networks(name: str) -> None:
    entry = get_model(name)
    model = entry.architecture().eval()
    graph = trace(model)
    modules = [key for key, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert set(graph.layers) == set(modules)
    assert {step.op for step in graph.steps} <= {"input", "layer", "add", "average_pool", "max_pool", "flatten"}


def test_batch_norm_without_a_layer_before_it_is_a_depthwise_layer() -> None:
    model = nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 4, 1), nn.Flatten()).eval()
    model[0].running_mean.copy_(torch.tensor([0.5, -1.0, 0.0]))
    graph, images = trace(model), pictures(2)
    assert graph.layers["0"].groups == 3
    with torch.no_grad():
        torch.testing.assert_close(graph(images), model(images))


class TwoReaders(nn.Module):
    """The batch norm of a layer whose own output is read too cannot be folded into it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layer(x)
        return torch.relu(self.norm(y)) + torch.relu(y)


def test_what_has_two_readers_stays() -> None:
    model = TwoReaders().eval()
    nn.init.uniform_(model.norm.running_mean)
    with torch.no_grad():
        torch.testing.assert_close(trace(model)(pictures(2)), model(pictures(2)))


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(self.layer(x))


class Depends(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if float(x.sum()) > 0 else -x


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Twice(), "layer is used twice"),
        (Depends(), "cannot be traced"),
        (nn.Sequential(nn.Conv2d(3, 4, 1), nn.GELU()), "no integer form of the GELU 1"),
        (nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")), "0 pads with reflect"),
        (nn.Sequential(nn.Conv2d(3, 4, 2, padding="same")), "pads one side more"),
        (nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False)), "keeps no statistics"),
        (nn.Bilinear(2, 2, 2), "more than one input|no integer form|arguments"),
    ],
)
def test_refusals_name_the_place(model: nn.Module, message: str) -> None:
    with pytest.raises(UnsupportedNetworkError, match=message):
        trace(model.eval())
