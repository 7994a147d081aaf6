from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from chita_edge.datasets.errors import DataError
from chita_edge.datasets.items import Signature, read_item

ONE, TWO = Signature(("x",), 1), Signature(("ids", "mask", "kind"), 2)
X, Y = torch.ones(3), torch.tensor(1)


class Graph(nn.Module):
    """A network made from a graph, whose forward takes any number of inputs."""

    input_names = ("a", "b")

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return inputs[0]


def test_forward_says_what_a_network_takes() -> None:
    assert Signature.of(nn.Linear(2, 2)) == Signature(("input",), 1)
    assert Signature.of(Graph()) == Signature(("a", "b"), 2)


@pytest.mark.parametrize(
    ("item", "signature", "inputs", "names", "labelled"),
    [
        (X, ONE, 1, None, False),
        (np.ones(3), ONE, 1, None, False),
        ([1.0, 2.0], ONE, 1, None, False),
        ((X,), ONE, 1, None, False),
        ((X, Y), ONE, 1, None, True),
        ([X, 3], ONE, 1, None, True),
        ((X, X), TWO, 2, None, False),
        ((X, X, Y), TWO, 2, None, True),
        (((X, X), Y), TWO, 2, None, True),
        (({"mask": X, "ids": X}, Y), TWO, 2, ("ids", "mask"), True),
        ({"ids": X, "mask": X, "labels": Y, "text": "left out"}, TWO, 2, ("ids", "mask"), True),
        ({"image": X, "label": 2}, ONE, 1, None, True),
        ({"x": X, "target": {"boxes": X, "classes": Y}}, ONE, 1, None, True),
    ],
)
def test_parts_are_inputs_or_labels(
    item: Any, signature: Signature, inputs: int, names: tuple[str, ...] | None, labelled: bool
) -> None:
    found = read_item(item, signature, "sample 0")
    assert (len(found.inputs), found.names, found.labels is not None) == (inputs, names, labelled)
    assert all(isinstance(tensor, torch.Tensor) and tensor.dtype == torch.float32 for tensor in found.inputs)


@pytest.mark.parametrize(
    ("item", "signature", "reason"),
    [
        ("text", ONE, "sample 5 holds str, which is no tensor"),
        ({"ids": X}, TWO, "sample 5 is a dict of ids; the network takes ids, mask, kind"),
        ((X, X, X, X, X), TWO, "sample 5 is a tuple of 5; the network takes 2 inputs"),
        (X.to_sparse(), ONE, "sample 5 holds a sparse tensor"),
        (X.to(torch.complex64), ONE, "sample 5 holds complex numbers"),
        ((X, "class"), ONE, "sample 5 holds str"),
    ],
)
def test_what_does_not_fit_is_a_sentence(item: Any, signature: Signature, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        read_item(item, signature, "sample 5")
