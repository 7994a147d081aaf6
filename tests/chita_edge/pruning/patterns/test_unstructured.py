from __future__ import annotations

import torch

from chita_edge.pruning.patterns import Unstructured


def test_every_weight_is_a_unit() -> None:
    shape = torch.Size((2, 3, 1, 1))
    scores = torch.arange(6.0).view(shape)
    pattern = Unstructured()
    assert pattern.unit_scores(scores).tolist() == [0, 1, 2, 3, 4, 5]
    assert pattern.unit_sizes(shape).tolist() == [1] * 6
    kept = torch.tensor([True, False, False, True, False, True])
    assert torch.equal(pattern.expand(kept, shape).flatten(), kept)
