from __future__ import annotations

import pytest
import torch

from chita_edge.pruning.reconstruction import LayerFit


def test_objective_is_the_squared_error_of_the_outputs() -> None:
    rng = torch.Generator().manual_seed(0)
    x, dense_x = torch.randn(5, 30, generator=rng), torch.randn(5, 30, generator=rng)
    dense, weights = torch.randn(3, 5, generator=rng), torch.randn(3, 5, generator=rng)
    layer = LayerFit(dense, x @ x.T / 30, dense_x @ x.T / 30, ridge=0.1)

    def loss(w: torch.Tensor) -> float:
        error = (w @ x - dense @ dense_x).square().sum() / 30
        return 0.5 * float(error + layer.damping * (w - dense).square().sum())

    assert layer.damping == pytest.approx(0.1 * float(x.square().mean()))
    assert layer.objective(weights) == pytest.approx(loss(weights) - loss(dense), rel=1e-4)
    assert layer.objective(dense) == 0
