"""How much of a network float32 steps are, and what is told of them."""

from __future__ import annotations

import pytest
import torch
from mixed_networks import SmallMixed
from small_networks import SmallMobile, pictures, settled
from torch import nn

from chita_edge.quantization import CompressionConfig, UnsupportedNetworkError, prepare, trace
from chita_edge.quantization.float_parts import float_parameters, integer_share, listed
from chita_edge.quantization.graph import Step

CONFIG = CompressionConfig(rows=200, curvature_images=4)


def test_shares_are_those_of_the_multiplications() -> None:
    graph = trace(settled(SmallMixed), pictures(2))
    integers = 36 * 12 * 27 + 36 * 16 * 108 + 36 * 16 * 64 + 9 * 24 * 144 + 36 * 24 * 40 + 24 * 5
    floating = 2 * 36 * 36 * 16
    assert integer_share(graph, pictures(2)) == pytest.approx(integers / (integers + floating))
    assert integer_share(trace(settled(SmallMobile)), pictures(2)) == 1


class Tokens(nn.Module):
    """Attention in one module, and a recurrent layer, between two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 8, 4, 4), nn.Linear(6, 4)
        self.attention, self.recurrent = nn.MultiheadAttention(8, 2, batch_first=True), nn.LSTM(8, 6, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x).flatten(2).transpose(1, 2)
        x, _ = self.attention(x, x, x)
        return self.head(self.recurrent(x)[0].mean(1))


def test_modules_of_many_multiplications_count() -> None:
    integers, attention = 9 * 8 * 48 + 6 * 4, 9 * 4 * 8 * 8 + 2 * 9 * 9 * 8
    share = integers / (integers + attention + 9 * 4 * 6 * (8 + 6))
    assert integer_share(trace(Tokens().eval(), pictures(2)), pictures(2)) == pytest.approx(share)


def test_what_float_steps_hold() -> None:
    graph = trace(settled(SmallMixed), pictures(2))
    assert float_parameters(graph) == {"norm"}
    assert listed(graph.floats) == "the LayerNorm norm, matmul, mul on values of 3 dimensions, softmax, interpolate"
    assert listed((Step("x", "float", reasons=tuple("abcdefgh")),)) == "a, b, c, d, e, f and 2 more"


def test_a_network_of_too_few_integers_is_refused_where_a_share_is_asked_for() -> None:
    with pytest.raises(UnsupportedNetworkError, match=r"Only 2% .* float32 stays matmul, sum. --dtype"):
        prepare(nn.Sequential(nn.Conv2d(3, 4, 1), Wide()).eval(), pictures(4), CONFIG, least_share=0.5)
    assert prepare(nn.Sequential(nn.Conv2d(3, 4, 1), Wide()).eval(), pictures(4), CONFIG).graph.floats


class Wide(nn.Module):
    """Products of all pairs of pixels."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.flatten(2)
        return (x.transpose(1, 2) @ x).sum(2)


def test_a_network_without_integer_layers_is_refused() -> None:
    with pytest.raises(UnsupportedNetworkError, match="No layer of the network has an integer form"):
        prepare(nn.Sequential(nn.Softmax(1), nn.Flatten()).eval(), pictures(4), CONFIG)


def test_weights_of_float_steps_are_not_pruned() -> None:
    plan = prepare(settled(SmallMixed), pictures(8), CONFIG, ["second.0.weight", "norm.weight"])
    assert plan.prunable == ("second.0",)
    plan = prepare(settled(SmallMixed), pictures(8), CONFIG)
    assert plan.prunable == (
        "second.0",
        "query",
        "out",
        "down",
        "last.0",
    )  # not the first, nor the one that gives the output
