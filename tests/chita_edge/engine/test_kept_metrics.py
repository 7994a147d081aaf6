"""Networks of all kinds keep their own metric when they are pruned, without labels and at the defaults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import trained_networks as networks
from torch import nn
from trained_networks import Task

from chita_edge import PruneConfig, PruneResult, prune
from chita_edge.network.inputs import SeveralInputs

TASKS: dict[str, Callable[[], Task]] = {
    "segmentation": networks.segmentation,
    "boxes": networks.boxes,
    "two inputs": networks.two_inputs,
    "tokens": networks.tokens,
    "activity": networks.activity,
}
COMPARED = {"boxes": "relative squared error", "tokens": "KL of logits along dimension 2"}


def pruned(task: Task, sparsity: float, network: nn.Module | None = None) -> PruneResult:
    data: Any = task.inputs[0] if len(task.inputs) == 1 else list(zip(*task.inputs, strict=True))
    return prune(network or task.network, data, PruneConfig(sparsity=sparsity, threads=1))


@pytest.mark.parametrize("name", TASKS)
def test_a_metric_is_kept_within_a_tenth_at_70_percent(name: str) -> None:
    task = TASKS[name]()
    dense = task.score(task.network)
    assert dense > 0.7, "trained"
    result = pruned(task, 0.7)
    assert result.figures.sparsity == pytest.approx(0.7, abs=0.01)
    assert result.figures.compared == COMPARED.get(name, "KL of logits along dimension 1")
    assert task.score(result.model) >= 0.9 * dense


class TwoOutputs(nn.Module):
    """One sigmoid's network with a probability for each of two classes."""

    def __init__(self, one: nn.Module) -> None:
        super().__init__()
        self.one = one

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        p = self.one(x)
        return torch.cat([1 - p, p], 1)


def test_one_sigmoid_is_pruned_as_well_as_two_outputs() -> None:
    task = networks.yes_or_no()
    dense = task.score(task.network)
    assert dense > 0.9, "trained"
    one = pruned(task, 0.8)
    two = pruned(task, 0.8, TwoOutputs(task.network))
    assert "Bernoulli KL of probabilities" in one.figures.compared
    scores = [task.score(one.model), task.metric(two.model(*task.test_inputs)[:, 1:], task.test_labels)]
    assert scores[0] >= scores[1] - 0.005
    assert scores[0] >= dense - 0.05


def test_several_inputs_are_samples_of_one_data_set() -> None:
    task = networks.two_inputs()
    config, samples = PruneConfig(sparsity=0.5, method="magnitude"), list(zip(*task.inputs, strict=True))[:50]
    whole = prune(task.network, SeveralInputs(tuple(tensor[:50] for tensor in task.inputs)), config)
    apart = prune(task.network, samples, config)
    assert (whole.figures.samples, apart.figures.samples) == (50, 50)
    assert all(torch.equal(mask, apart.masks[name]) for name, mask in whole.masks.items())
