"""The distance and the layers that stay dense, as they are told of int8 networks."""

from __future__ import annotations

import pytest
import torch
from small_networks import SmallMobile, pictures, settled

from chita_edge.datasets import LabelledImages
from chita_edge.deploy.int8_told import GROUPED, tell
from chita_edge.engine.config import PruneConfig
from chita_edge.network.distance import divergence
from chita_edge.network.objective import find_objective
from chita_edge.quantization import CompressionConfig, compress


def test_the_distance_is_that_of_the_objective_and_each_weight_is_accounted_for() -> None:
    model, images = settled(SmallMobile), pictures(40, 5)
    config = CompressionConfig(sparsity=0.5, rows=300, curvature_images=8, activation_rounds=0)
    names = ("point.0.weight", "last.0.weight", "dilated.0.weight")
    network = compress(model, images, config, prunable=names[:2]).network
    assert network is not None
    samples = LabelledImages(pictures(20, 6), None)
    told = tell(model, network, samples, PruneConfig(distance="classes"), names, seen=False)

    class Integers(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return network(x)

    objective = find_objective(model, samples.images, kinds="classes")
    exact = divergence(Integers(), model, samples.images, objective)
    assert float(told.compared.partition(" is ")[2].partition(" away")[0]) == pytest.approx(exact, rel=5e-3)
    assert "KL" in told.compared and told.compared.endswith("on 20 samples, which nothing was fitted on")
    assert {one.name for one in told.dense if one.reason == GROUPED} == {"dilated.0.weight"}
    kept = {one.name for one in told.dense} | set(names)
    weights = {name for name, parameter in model.named_parameters() if parameter.dim() > 1}
    assert weights <= kept
    only = tell(model, network, samples, PruneConfig(), None, seen=True)
    assert "squared error" in only.compared and only.compared.endswith("which it was fitted on")
