from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small_networks import SmallMobile, SmallResidual, pictures, settled
from torch import nn

from chita_edge.quantization import Graph, trace
from chita_edge.quantization.equalise import equalise


@pytest.mark.parametrize("kind", [SmallResidual, SmallMobile])
def test_keeps_the_function(kind: type[nn.Module]) -> None:
    graph, images = trace(settled(kind)), pictures(20)
    same = equalise(graph, images)
    with torch.no_grad():
        torch.testing.assert_close(same(images), graph(images), rtol=1e-4, atol=1e-4)
    changed = [n for n, layer in same.layers.items() if not torch.equal(layer.weight, graph.layers[n].weight)]
    assert len(changed) >= 2


def rescaled(graph: Graph, pairs: list[tuple[str, str]], seed: int) -> Graph:
    """Inner channels multiplied by 2^U(−3, 3), and divided where they are read."""
    rng = torch.Generator().manual_seed(seed)
    layers = dict(graph.layers)
    for writer, reader in pairs:
        factor = 2 ** (6 * torch.rand(len(layers[writer].bias), generator=rng) - 3)
        old, behind = layers[writer], layers[reader]
        layers[writer] = replace(old, weight=old.weight * factor[:, None, None, None], bias=old.bias * factor)
        layers[reader] = replace(behind, weight=behind.weight / factor[:, None, None])
    return graph.with_layers(layers)


def test_channels_come_out_alike_however_they_were_scaled() -> None:
    graph, images = trace(settled(SmallResidual)), pictures(20)
    there = rescaled(graph, [("first", "second")], 1)
    with torch.no_grad():
        torch.testing.assert_close(there(images), graph(images), rtol=1e-4, atol=1e-4)
    first, second = (equalise(g, images).layers for g in (graph, there))
    for name in ("first", "second"):
        ratio = second[name].weight / first[name].weight
        torch.testing.assert_close(ratio, ratio.mean().expand_as(ratio), rtol=1e-3, atol=0)


def test_what_a_sum_or_the_user_reads_is_left_alone() -> None:
    graph, images = trace(settled(SmallResidual)), pictures(20)
    layers = equalise(graph, images).layers
    for name in ("shortcut", "classifier"):
        assert torch.equal(layers[name].bias, graph.layers[name].bias)


def test_a_clip_is_never_moved_into_a_channels_way() -> None:
    """Channels that reach ReLU6's bound stay, and scaled ones do not reach it."""
    model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU6(), nn.Conv2d(8, 4, 1)).eval()
    torch.manual_seed(0)
    nn.init.normal_(model[0].weight, std=2.0)
    with torch.no_grad():
        model[0].weight[:4] *= 0.05
        model[2].weight[:, :2] *= 1000
    graph, images = trace(model), pictures(50)
    before, after = graph.layers["0"], equalise(graph, images).layers["0"]
    with torch.no_grad():
        reach = before(images).amax((0, 2, 3))
        scaled = after(images).amax((0, 2, 3))
        torch.testing.assert_close(equalise(graph, images)(images), graph(images), rtol=1e-3, atol=1e-3)
    far = reach >= 0.9 * 6
    assert bool(far.any()) and bool((~far).any())
    assert torch.equal(before.weight[far], after.weight[far])
    assert bool((scaled[~far] <= 0.9 * 6 * 1.0001).all())
    assert not torch.equal(before.weight[~far], after.weight[~far])


def test_dead_channels_and_unread_ones_stay_finite() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1)).eval()
    with torch.no_grad():
        model[0].weight[0], model[0].bias[0] = 0, -1
        model[2].weight[:, 1] = 0
    layers = equalise(trace(model), pictures(5)).layers
    assert all(bool(layer.weight.isfinite().all()) for layer in layers.values())
    assert torch.equal(layers["0"].weight[0], model[0].weight[0])


class AcrossFloats(nn.Module):
    """Two layers with a norm between them, and two without."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.second = nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.Conv2d(8, 8, 1)
        self.third = nn.Conv2d(8, 8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.third(torch.relu(self.second(self.norm(self.first(x)))))


def test_channels_that_a_float_step_reads_stay_as_they_are() -> None:
    torch.manual_seed(0)
    graph = trace(AcrossFloats().eval(), pictures(2))
    changed = equalise(graph, pictures(20)).layers
    assert {name for name, layer in changed.items() if not torch.equal(layer.weight, graph.layers[name].weight)} == {
        "second", "third",
    }  # fmt: skip
