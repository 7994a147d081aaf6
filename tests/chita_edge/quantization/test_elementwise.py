"""Which functions are tables, and that a table is what torch computes of each code."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from small_networks import pictures
from torch import nn
from torch.nn import functional

from chita_edge.quantization import CompressionConfig, compress, trace

Function = Callable[[torch.Tensor], torch.Tensor]


class Between(nn.Module):
    """A function between two layers."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.first, self.second, self.function = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 4, 1), function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.function(self.first(x)))


def by_hand(x: torch.Tensor) -> torch.Tensor:
    return x * functional.relu6(x + 3) / 6


FUNCTIONS: list[Function] = [
    nn.GELU(), nn.LeakyReLU(0.2), nn.ELU(), nn.PReLU(), nn.Softsign(), functional.softplus, functional.mish,
    by_hand, lambda x: torch.clamp(x, -0.3, 0.5), lambda x: x.clamp(min=-0.2).mul_(0.5), lambda x: 1 - x**2,
    lambda x: functional.dropout(x).exp() - 1,
]  # fmt: skip


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_of_single_numbers_is_a_table(function: Function) -> None:
    torch.manual_seed(0)
    model = Between(function).eval()
    config = CompressionConfig(sparsity=0.0, rows=200, curvature_images=4, activation_rounds=0)
    network = compress(model, pictures(12, 5), config).network
    assert network is not None
    assert [step.op for step in network.graph.steps] == ["input", "layer", "table", "layer"]
    table = network.graph.steps[2]
    grid, out = network.grids[table.inputs[0]], network.grids[table.name]
    codes = {step.name: value for step, value in network.walk(pictures(3))}
    with torch.no_grad():
        real = trace(model, pictures(2)).steps[2](grid.dequantise(codes[table.inputs[0]]))
        wanted = out.quantise(real)
        torch.testing.assert_close(real, reference(function)(grid.dequantise(codes[table.inputs[0]])))
    assert np.abs((codes[table.name] - wanted).numpy()).max() <= 1  # at ties of float32 and float64


def reference(function: Function) -> Function:
    """The function outside of training."""
    return (lambda x: x.exp() - 1) if function is FUNCTIONS[-1] else function


@pytest.mark.parametrize(
    "function",
    [
        lambda x: 1 / x,
        lambda x: x**0.5,
        lambda x: x / 0.0,
        lambda x: x.cumsum(1),
        nn.PReLU(6),
        nn.Softmax(1),
        nn.ChannelShuffle(2),
    ],
)
def test_other_functions_are_float_steps(function: Function) -> None:
    graph = trace(Between(function).eval(), pictures(2))
    assert [step.op for step in graph.steps] == ["input", "layer", "float", "quantise", "layer"]
