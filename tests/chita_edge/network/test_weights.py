from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from chita_edge.network.errors import CalibrationError
from chita_edge.network.inputs import SeveralInputs
from chita_edge.network.selection import named_sparsities, select
from chita_edge.network.weights import Weight, find_weights

IMAGES = torch.randn(1, 3, 8, 8)


class Own(nn.Conv2d):
    """A subclass whose weight only its own forward uses."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.conv2d(x, self.weight, self.bias)


class Mixed(nn.Module):
    """Every kind of module with weights."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.depthwise, self.own = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, groups=4), Own(4, 4, 1)
        self.grouped, self.up = nn.Conv2d(4, 4, 1, groups=2), nn.ConvTranspose2d(4, 4, 3)
        self.table, self.lstm, self.attention = nn.Embedding(5, 4), nn.LSTM(4, 4), nn.MultiheadAttention(4, 2)
        self.loose = nn.Parameter(torch.ones(4, 4))
        self.unused, self.head = nn.Linear(3, 3), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.up(self.grouped(self.own(self.depthwise(self.stem(x)))))
        steps = x.flatten(2).permute(2, 0, 1) + self.table.weight[0]
        steps, _ = self.lstm(steps)
        steps, _ = self.attention(steps, steps, steps)
        return self.head(functional.linear(steps.mean(0), self.loose))


def weights(net: nn.Module, sample: torch.Tensor = IMAGES) -> dict[str, Weight]:
    return {weight.name: weight for weight in find_weights(net.eval(), sample)}


def test_each_weight_is_known_by_what_multiplies_by_it() -> None:
    found = weights(Mixed())
    assert {name: weight.kind for name, weight in found.items() if not weight.obstacle} == {
        "stem.weight": "convolution",
        "depthwise.weight": "depthwise",
        "own.weight": "convolution",
        "grouped.weight": "convolution",
        "loose": "linear",
        "attention.in_proj_weight": "linear",
        "attention.out_proj.weight": "linear",
        "head.weight": "linear",
    }
    reasons = {name: weight.obstacle for name, weight in found.items() if weight.obstacle}
    assert reasons == {
        "up.weight": "a transposed convolution, unless its kernel equals its stride, has no sparse kernel",
        "table.weight": "an embedding is looked up, not multiplied by",
        "lstm.weight_ih_l0": "the runtime multiplies by a recurrent layer's weights inside one op",
        "lstm.weight_hh_l0": "the runtime multiplies by a recurrent layer's weights inside one op",
        "unused.weight": "the network never uses it",
    }
    assert [name for name, weight in found.items() if weight.first] == ["stem.weight"]
    assert [name for name, weight in found.items() if weight.head] == ["head.weight"]


def test_three_dimensions_and_shared_weights_stay_dense() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.mix, self.head = nn.Embedding(5, 4), nn.Linear(4, 4), nn.Linear(4, 5)
            self.head.weight = self.table.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.mix(self.table(x)))

    found = weights(Tied(), torch.zeros(1, 3, dtype=torch.int64))
    assert found["table.weight"].obstacle == "torch.nn.functional.embedding reads it too"
    assert not found["mix.weight"].first
    video = weights(nn.Sequential(nn.Conv3d(3, 2, 1), nn.Flatten(), nn.Linear(2, 2)), torch.zeros(1, 3, 1, 1, 1))
    assert video["0.weight"].obstacle == "there is no sparse kernel in three dimensions"


def test_a_layer_behind_an_embedding_is_no_first_layer() -> None:
    class Tower(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.mix, self.beside, self.head = nn.Embedding(5, 4), *(nn.Linear(4, 4) for _ in range(3))

        def forward(self, ids: torch.Tensor, measured: torch.Tensor) -> torch.Tensor:
            return self.head(self.mix(self.table(ids)) + self.beside(measured))

    sample = SeveralInputs((torch.zeros(1, dtype=torch.int64), torch.ones(1, 4)))
    assert [weight.name for weight in find_weights(Tower().eval(), sample) if weight.first] == ["beside.weight"]


ALL = tuple(find_weights(Mixed().eval(), IMAGES))


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ["loose", "own.weight", "grouped.weight", "attention.in_proj_weight", "attention.out_proj.weight",
              "head.weight"]),
        ({"ignore": ("head", "Own")}, ["loose", "grouped.weight", "attention.in_proj_weight",
                                       "attention.out_proj.weight"]),
        ({"only": ("stem", "re:.*proj")}, ["stem.weight", "attention.in_proj_weight", "attention.out_proj.weight"]),
        ({"only": ("Conv2d",), "ignore": ("re:depth",)}, ["stem.weight", "grouped.weight"]),
        ({"prunable": ("stem.weight",)}, ["stem.weight"]),
    ],
)  # fmt: skip
def test_patterns_choose(options: dict[str, Any], names: list[str]) -> None:
    found = select(ALL, **options)
    assert sorted(found.names) == sorted(names)
    assert len(found.names) + len(found.dense) == len(ALL)
    assert all(one.reason for one in found.dense)


def test_reasons_are_told() -> None:
    reasons = {one.name: one.reason for one in select(ALL, ignore=("head",)).dense}
    assert reasons["stem.weight"].startswith("the first layer")
    assert reasons["depthwise.weight"].startswith("a depthwise convolution")
    assert reasons["head.weight"] == "left out by 'head'"
    assert select(ALL).head == "head.weight"
    assert select(ALL, ignore=("head",)).head is None


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (
            lambda: select(ALL, only=("haed.weight",)),
            "'haed.weight' matches no weight of the network. Did you mean h",
        ),
        (lambda: select(ALL, ignore=("re:(",)), "is no regular expression"),
        (lambda: select(ALL, only=("table",)), "table.weight cannot be pruned: an embedding is looked up"),
        (lambda: named_sparsities(ALL, {"nothing": 0.5}), "'nothing' matches no weight"),
    ],
)
def test_patterns_that_do_not_fit_are_a_sentence(call: Callable[[], object], reason: str) -> None:
    with pytest.raises(CalibrationError) as caught:
        call()
    assert reason in str(caught.value)


def test_the_last_pattern_that_matches_counts() -> None:
    found = named_sparsities(ALL, {"re:.*": 0.5, "head": 0.2})
    assert (found["head.weight"], found["stem.weight"]) == (0.2, 0.5)
