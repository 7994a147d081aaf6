from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from chita_edge.datasets import LabelledImages
from chita_edge.engine.api import prune
from chita_edge.engine.config import PruneConfig
from chita_edge.engine.convert import convert
from chita_edge.errors import UsageError
from chita_edge.models.mobilenet_v1 import MobileNetV1
from chita_edge.pruning import Constraint, get_pattern


def network() -> nn.Module:
    torch.manual_seed(0)
    return MobileNetV1(0.25, 5, 1).eval()


def calibration(n: int = 10) -> LabelledImages:
    return LabelledImages(torch.randn(n, 1, 32, 32, generator=torch.Generator().manual_seed(0)), torch.arange(n) % 5)


NAMES = ("features.2.1.0.weight", "features.3.1.0.weight", "classifier.1.weight")


@pytest.mark.parametrize("method", ["default", "chita_bso"])
def test_an_unstructured_network_becomes_2_of_4(method: str) -> None:
    dense, data = network(), calibration()
    pruned = prune(dense, data, PruneConfig(sparsity=0.5, method="chita_bso"), prunable=NAMES).model
    states = [copy.deepcopy(net.state_dict()) for net in (dense, pruned)]
    result = convert(dense, pruned, data, PruneConfig(sparsity=0.5, structure="2:4", method=method), prunable=NAMES)
    for net, before in zip((dense, pruned), states, strict=True):
        assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert 0.5 <= result.figures.sparsity < 0.52
    assert result.figures.objective < result.figures.trace[0]
    parameters = dict(result.model.named_parameters())
    for name, mask in result.masks.items():
        assert not parameters[name][~mask].any()
        assert torch.equal(
            Constraint(get_pattern("2:4"), (mask.shape,), mask.numel()).project(mask.flatten().float()), mask.flatten()
        )


def test_filters_of_a_pruned_network() -> None:
    dense, data = network(), calibration()
    pruned = prune(dense, data, PruneConfig(sparsity=0.5, method="magnitude")).model
    config = PruneConfig(sparsity=0.3, structure="filter", method="obd", allocation="uniform")
    assert convert(dense, pruned, data, config).figures.sparsity >= 0.2999


def test_what_cannot_be_is_a_sentence() -> None:
    with pytest.raises(UsageError, match="differ in features"):
        convert(network(), MobileNetV1(0.5, 5, 1), calibration(), PruneConfig(structure="2:4"))
    with pytest.raises(UsageError, match="does not distil"):
        convert(network(), network(), calibration(), PruneConfig(structure="2:4", distill_epochs=1))
