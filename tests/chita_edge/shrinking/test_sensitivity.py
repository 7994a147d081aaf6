from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest
import torch
from torch import nn
from torch.nn import functional

from chita_edge.calibration.errors import CalibrationError, NonFiniteCalibrationError
from chita_edge.shrinking import ChannelGroup, Side, channel_groups, channel_layers, channel_lengths

Network = Callable[[str], tuple[nn.Module, torch.Tensor]]


def stand_ins(
    model: nn.Module, group: ChannelGroup, side: str
) -> list[tuple[torch.Tensor, int, torch.Tensor, torch.Tensor]]:
    """Parameters whose common scale a channel's factor is: tensor, dimension, places, and whose they are."""
    found = []
    for member in group.having("reads" if side == "channel" else "writes"):
        if side == "channel":
            weight = cast("torch.Tensor", model.get_submodule(member.layer).weight)
            found.append((weight, 1, member.channels, member.of))
            continue
        layer = model.get_submodule(member.norm or member.layer)
        both = (cast("torch.Tensor | None", parameter) for parameter in (layer.weight, layer.bias))
        found.extend((parameter, 0, member.channels, member.of) for parameter in both if parameter is not None)
    return found


@pytest.mark.parametrize("name", ["joined", "mobilenet_v1", "resnet20_cifar"])
@pytest.mark.parametrize("side", ["filter", "channel"])
def test_equals_the_gradients_of_all_weights_times_the_weights(name: str, side: Side, network: Network) -> None:
    model, images = network(name)
    groups = channel_groups(model, images[:1])
    labels = torch.tensor([1, 2])
    layers = channel_layers(model, groups, images, labels, side, batch_size=1)
    for sample in range(2):
        loss = functional.cross_entropy(model(images[sample : sample + 1]), labels[sample : sample + 1])
        for group, layer in zip(groups, layers, strict=True):
            want = torch.zeros(group.size)
            for parameter, dimension, places, of in stand_ins(model, group, side):
                (gradient,) = torch.autograd.grad(loss, parameter, retain_graph=True)
                each = (
                    (gradient * parameter).detach().movedim(dimension, 0).reshape(parameter.shape[dimension], -1).sum(1)
                )
                want.index_add_(0, of, each[places])
            got = layer.gradients[:, sample] * layer.weight[:, 0]
            assert torch.allclose(got, want, rtol=1e-3, atol=1e-5 * float(want.abs().max())), group.name


class Tokens(nn.Module):
    """Linear layers over tokens, (batch, tokens, features) or tokens first."""

    def __init__(self, tokens_first: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.head = nn.Linear(3, 5), nn.Linear(5, 4), nn.Linear(4, 3)
        self.tokens_first = tokens_first

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.tokens_first:
            x = x.transpose(0, 1)
        return self.head(self.second(self.first(x).tanh()).tanh().mean(0 if self.tokens_first else 1))


@pytest.mark.parametrize("side", ["filter", "channel"])
def test_tokens_beside_the_batch_are_summed(side: Side) -> None:
    net, labels = Tokens(tokens_first=False).eval(), torch.tensor([0, 1])
    x = torch.randn(2, 2, 3, generator=torch.Generator().manual_seed(0))  # as many tokens as samples
    groups = channel_groups(net, x[:1])
    layers = channel_layers(net, groups, x, labels, side)
    for sample in range(2):
        alone = channel_layers(net, groups, x[sample : sample + 1], labels[sample : sample + 1], side)
        for one, two in zip(alone, layers, strict=True):
            torch.testing.assert_close(two.gradients[:, sample], one.gradients[:, 0])


def test_tokens_before_the_batch_are_a_sentence() -> None:
    net = Tokens(tokens_first=True).eval()
    for tokens in (2, 5):  # as many as samples, or more
        x = torch.randn(2, tokens, 3, generator=torch.Generator().manual_seed(0))
        groups = channel_groups(net, x[:1])
        with pytest.raises(CalibrationError, match="along another dimension than the first"):
            channel_layers(net, groups, x, torch.tensor([0, 1]), "filter")


def test_rows_average_neighbouring_samples(network: Network) -> None:
    model, _ = network("joined")
    images, labels = torch.randn(6, 1, 4, 4, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 3
    groups = channel_groups(model, images[:1])
    single, double = (channel_layers(model, groups, images, labels, "filter", samples_per_row=s) for s in (1, 2))
    for one, two in zip(single, double, strict=True):
        assert torch.allclose(two.gradients, (one.gradients[:, ::2] + one.gradients[:, 1::2]) / 2, atol=1e-7)


def test_lengths_are_norms_of_folded_filters_and_of_columns(network: Network) -> None:
    model, images = network("mobilenet_v1")
    group = channel_groups(model, images[:1])[0]
    conv, norm = (model.get_submodule(f"features.0.{number}") for number in range(2))
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_var is not None
    scale = norm.weight.detach() / (norm.running_var + norm.eps).sqrt()
    weight = cast("torch.Tensor", conv.weight).detach()
    filters = [float((scale[i] * weight[i]).norm()) for i in range(group.size)]
    assert channel_lengths(model, group, "filter").tolist() == pytest.approx(filters, rel=1e-5)
    reader = cast("torch.Tensor", model.get_submodule("features.1.1.0").weight).detach()
    columns = [float(reader[:, i].norm()) for i in range(group.size)]
    assert channel_lengths(model, group, "channel").tolist() == pytest.approx(columns, rel=1e-5)


def test_a_channel_that_is_gone_has_no_sensitivity(network: Network) -> None:
    model, images = network("joined")
    groups = channel_groups(model, images[:1])
    with torch.no_grad():
        cast("torch.Tensor", model.get_submodule("join").weight)[:, 2] = 0
    layer = channel_layers(model, groups, images, torch.tensor([0, 1]), "channel")[0]
    assert float(layer.weight[2]) == 0
    assert not layer.gradients[2].any()


def test_bad_input_is_a_sentence(network: Network) -> None:
    model, images = network("joined")
    groups = channel_groups(model, images[:1])
    with pytest.raises(CalibrationError, match="one int64 label an image"):
        channel_layers(model, groups, images, torch.tensor([0]), "filter")
    with torch.no_grad():
        cast("torch.Tensor", model.get_submodule("join").weight)[0, 0] = torch.nan
    with pytest.raises(NonFiniteCalibrationError, match=r"join\.weight holds nan"):
        channel_layers(model, groups, images, torch.tensor([0, 1]), "filter")
