from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import chita_edge
import exporters
import runtimes
from chita_edge.deploy.agreement import check_agreement
from chita_edge.deploy.feeds import answers, feeds
from chita_edge.network.inputs import SeveralInputs, example_of


class Tower(nn.Module):
    """Token ids and an image to two answers."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words, self.conv, self.head = nn.Embedding(9, 16), nn.Conv2d(3, 16, 1), nn.Linear(16, 3)

    def forward(self, ids: torch.Tensor, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = self.words(ids).mean(1) + self.conv(image).relu().mean((2, 3))
        return self.head(hidden), hidden


IDS, IMAGE = torch.tensor([[1, 2, 3], [4, 5, 8]]), torch.randn(2, 3, 4, 4)
BATCHES = [
    SeveralInputs((IDS, IMAGE)),
    SeveralInputs((IMAGE, IDS), ("image", "ids")),
]


@pytest.mark.parametrize("batch", BATCHES)
def test_a_network_of_several_inputs_and_outputs_is_exported_and_checked(batch: SeveralInputs, tmp_path: Path) -> None:
    net, path = Tower().eval(), tmp_path / "model.onnx"
    with torch.no_grad():
        net.conv.weight.mul_(torch.rand_like(net.conv.weight) > 0.9)
    config = chita_edge.ExportConfig(target="x86_64")
    chita_edge.export(net, config, example_input=example_of(batch[:1]), out=path)
    assert max(check_agreement(net, path, batch).values()) <= 1e-4
    session = runtimes.session(path)
    given = feeds(session, batch)
    assert list(given) == (["input_0", "input_1"] if batch.names is None else ["image", "ids"])
    found = session.run(None, given)
    assert exporters.relative_difference(found, answers(net, batch)) <= 1e-4


def test_a_missing_output_is_a_difference() -> None:
    one = answers(Tower().eval(), BATCHES[0])
    assert exporters.relative_difference(one[:1], one) == float("inf")
    assert exporters.relative_difference([one[0], one[1] + torch.nan], one) != 0
