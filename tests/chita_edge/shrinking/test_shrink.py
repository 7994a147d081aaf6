from __future__ import annotations

import copy
import sys
from collections.abc import Callable

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from chita_edge.shrinking import (
    ShrinkingError,
    channel_groups,
    read_channels,
    remove_channels,
    shrink,
    zero_channels,
)
from exporters import relative_difference, to_onnx

Network = Callable[[str], tuple[nn.Module, torch.Tensor]]
NAMES = ("joined", "mobilenet_v1", "mobilenet_v2", "resnet20_cifar", "resnet50")


def masked(model: nn.Module, images: torch.Tensor, share: float = 0.5) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    """Half of each group's channels zero, and what was kept."""
    groups = channel_groups(model, images[:1])
    rng = torch.Generator().manual_seed(0)
    kept = {}
    for group in groups:
        kept[group.name] = torch.rand(group.size, generator=rng) < share
        kept[group.name][0] = True
    model = copy.deepcopy(model)
    zero_channels(model, groups, kept)
    return model, kept


@pytest.mark.parametrize("name", NAMES)
def test_smaller_network_in_stock_onnx_runtime_equals_the_masked_one(name: str, network: Network) -> None:
    model, kept = masked(*network(name))
    _, images = network(name)
    smaller = shrink(model, images[:1])
    assert {name: len(mask) for name, mask in kept.items()} == {
        group.name: group.size for group in channel_groups(model, images[:1])
    }
    assert {group.name: group.size for group in channel_groups(smaller, images[:1])} == {
        name: int(mask.sum()) for name, mask in kept.items()
    }
    size, before = (sum(p.numel() for p in net.parameters()) for net in (smaller, model))
    assert size < before
    exported = to_onnx(smaller, images[:1])
    assert {node.domain for node in exported.graph.node} == {""}
    session = onnxruntime.InferenceSession(exported.SerializeToString(), providers=["CPUExecutionProvider"])
    (got,) = session.run(None, {"input": images.numpy()})
    with torch.no_grad():
        want = model(images).numpy()
    assert got.shape == want.shape
    assert relative_difference(got, want) <= 1e-5
    assert np.abs(want).max() > 0


def test_channels_that_are_written_but_not_read_go(network: Network) -> None:
    model, images = network("joined")
    with torch.no_grad():
        model.get_submodule("join").weight[:, 5] = 0  # type: ignore[index, operator]
    smaller = shrink(model, images)
    assert smaller.get_submodule("right").weight.shape[0] == 2  # type: ignore[union-attr]
    with torch.no_grad():
        assert torch.allclose(smaller(images), model(images), atol=1e-6)


def test_one_channel_stays_where_nothing_is_read(network: Network) -> None:
    model, images = network("mobilenet_v1")
    groups = channel_groups(model, images[:1])
    zero_channels(model, groups, {groups[3].name: torch.zeros(groups[3].size, dtype=torch.bool)})
    assert int(read_channels(model, groups)[groups[3].name].sum()) == 1
    assert shrink(model, images).get_submodule(groups[3].name).weight.shape[0] == 1  # type: ignore[union-attr]


def test_removing_equals_zeroing(network: Network) -> None:
    model, images = network("resnet20_cifar")
    zeroed, kept = masked(model, images)
    removed = copy.deepcopy(model)
    remove_channels(removed, channel_groups(model, images[:1]), kept)
    with torch.no_grad():
        assert torch.allclose(removed(images), zeroed(images), rtol=1e-4, atol=1e-5)


def test_a_dense_network_stays_as_it_is(network: Network) -> None:
    model, images = network("mobilenet_v2")
    before = copy.deepcopy(model.state_dict())
    same = shrink(model, images)
    for state in (model.state_dict(), same.state_dict()):
        assert all(torch.equal(value, before[name]) for name, value in state.items())


def test_the_network_is_not_changed_and_still_trains(network: Network) -> None:
    model, images = network("mobilenet_v1")
    smaller = shrink(masked(model, images)[0], images).train()
    smaller(images).sum().backward()
    assert all(parameter.grad is not None for parameter in smaller.parameters())


def test_channels_mixed_by_an_operation_stay() -> None:
    class Mixing(nn.Module):
        """A softmax over the channels: each depends on all others, though no weight says so."""

        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(1, 4, 1), nn.Conv2d(4, 2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.second(self.first(x).softmax(1))

    torch.manual_seed(0)
    net = Mixing()
    with torch.no_grad():
        net.second.weight[:, 0] = 0
    assert channel_groups(net, torch.ones(1, 1, 4, 4)) == ()
    assert shrink(net, torch.ones(1, 1, 4, 4)).first.weight.shape == net.first.weight.shape


def test_a_smaller_network_that_computes_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 1), nn.Conv2d(4, 2, 1)).eval()
    everything = {"0": torch.tensor([True, False, True, True])}
    module = sys.modules["chita_edge.shrinking.shrink"]  # the package hands out a function of that name
    monkeypatch.setattr(module, "read_channels", lambda model, groups: everything)
    with pytest.raises(ShrinkingError, match="computes something else"):
        shrink(net, torch.ones(1, 1, 4, 4))
