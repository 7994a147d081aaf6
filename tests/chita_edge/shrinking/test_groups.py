from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from chita_edge.shrinking import ChannelGroup, ShrinkingError, channel_groups

Network = Callable[[str], tuple[nn.Module, torch.Tensor]]


def by_name(network: Network, name: str) -> dict[str, ChannelGroup]:
    model, images = network(name)
    return {group.name: group for group in channel_groups(model, images[:1])}


def parts(group: ChannelGroup) -> dict[str, str]:
    return {member.layer: member.role for member in group.members}


def test_a_residual_stream_is_one_group(network: Network) -> None:
    groups = by_name(network, "resnet20_cifar")
    assert len(groups) == 3 + 9
    assert parts(groups["layer2.0.conv2"]) == {
        "layer2.0.conv2": "writes",
        "layer2.0.bn2": "carries",
        "layer2.0.downsample.0": "writes",
        "layer2.0.downsample.1": "carries",
        "layer2.1.conv1": "reads",
        "layer2.1.conv2": "writes",
        "layer2.1.bn2": "carries",
        "layer2.2.conv1": "reads",
        "layer2.2.conv2": "writes",
        "layer2.2.bn2": "carries",
        "layer3.0.conv1": "reads",
        "layer3.0.downsample.0": "reads",
    }


def test_a_depthwise_convolution_carries(network: Network) -> None:
    groups = by_name(network, "mobilenet_v1")
    assert list(groups) == ["features.0.0", *(f"features.{block}.1.0" for block in range(1, 14))]
    assert list(parts(groups["features.0.0"]).values()) == ["writes", "carries", "carries", "carries", "reads"]


def test_inputs_and_outputs_are_in_no_group(network: Network) -> None:
    for name, (first, last) in {
        "resnet20_cifar": ("conv1", "fc"),
        "mobilenet_v2": ("features.0.0", "classifier.1"),
    }.items():
        roles = [(m.layer, m.role) for group in by_name(network, name).values() for m in group.members]
        assert (first, "reads") not in roles
        assert (last, "writes") not in roles


def test_places_behind_a_concatenation_and_a_flattened_image(network: Network) -> None:
    groups = by_name(network, "joined")
    (reader,) = groups["right"].having("reads")
    assert (reader.channels.tolist(), reader.of.tolist()) == ([4, 5, 6], [0, 1, 2])
    (reader,) = groups["join"].having("reads")
    assert reader.channels.tolist() == list(range(80))
    assert reader.of.tolist() == [place // 16 for place in range(80)]


def test_layers_of_other_kinds_keep_their_channels() -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 4, 1), nn.PReLU(4), nn.Conv2d(4, 6, 1), nn.Conv2d(6, 6, 1, groups=2), nn.Conv2d(6, 2, 1)
    )
    assert [group.name for group in channel_groups(net, torch.zeros(1, 1, 4, 4))] == []


def test_what_cannot_be_followed_is_a_sentence() -> None:
    class Broken(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise ValueError("no such thing")

    with pytest.raises(ShrinkingError, match="channels of Broken cannot be followed"):
        channel_groups(Broken(), torch.zeros(1, 1, 4, 4))
