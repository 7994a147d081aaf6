from __future__ import annotations

import pytest
import torch

from chita_edge.pruning import LayerFacts, PruningError
from chita_edge.pruning.allocation.lamp import lamp_budget, lamp_scores


def test_worked_example() -> None:
    scores = lamp_scores(torch.tensor([[2.0, -1.0], [2.0, 0.0]]))
    assert scores.tolist() == pytest.approx([4 / 8, 1 / 9, 4 / 4, 0.0])


def test_scores_are_those_of_the_definition() -> None:
    weight = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    squares = weight.flatten().double().square()
    expected = [float(square / squares[squares >= square].sum()) for square in squares]
    assert lamp_scores(weight).tolist() == pytest.approx(expected)


def test_scale_of_a_layer_does_not_matter_and_no_layer_is_emptied() -> None:
    rng = torch.Generator().manual_seed(1)
    weights = (torch.randn(20, 20, generator=rng), torch.randn(5, 4, generator=rng), torch.randn(10, 10, generator=rng))
    shapes = tuple(weight.shape for weight in weights)
    kept = lamp_budget(shapes, 0.95, LayerFacts(weights))
    assert sum(kept) == 26
    assert min(kept) >= 1
    assert kept == lamp_budget(shapes, 0.95, LayerFacts((weights[0] * 1000, weights[1], weights[2] / 1000)))


def test_needs_weights() -> None:
    with pytest.raises(PruningError, match="needs the weights of all 1 layers"):
        lamp_budget((torch.Size((2, 2)),), 0.5, LayerFacts())
