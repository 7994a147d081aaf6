from __future__ import annotations

import torch
from torch.nn import functional

from chita_edge.quantization import tempered_divergence


def kl(z: torch.Tensor, dense: torch.Tensor) -> float:
    return float(functional.kl_div(z.log_softmax(1), dense.log_softmax(1), reduction="batchmean", log_target=True))


def test_is_the_least_kl_over_all_temperatures() -> None:
    rng = torch.Generator().manual_seed(0)
    dense = 4 * torch.randn(200, 7, generator=rng, dtype=torch.float64)
    z = 0.2 * dense + 0.3 * torch.randn(200, 7, generator=rng, dtype=torch.float64)
    found = tempered_divergence(z, dense)
    tried = min(kl(z * 2.0 ** (k / 50), dense) for k in range(-300, 400))
    assert tried - 1e-4 < found <= tried + 1e-9 < kl(z, dense)


def test_does_not_change_with_the_answers_scale() -> None:
    rng = torch.Generator().manual_seed(1)
    dense, z = (torch.randn(50, 4, generator=rng, dtype=torch.float64) for _ in range(2))
    z = dense + z + 100
    values = [tempered_divergence(factor * z, dense) for factor in (0.05, 1.0, 20.0)]
    assert max(values) - min(values) < 1e-6
    assert tempered_divergence(3 * dense, dense) < 1e-9


def test_answers_without_classes_are_compared_by_squares() -> None:
    dense = torch.tensor([[0.0], [2.0]])
    assert tempered_divergence(dense, dense) == 0
    assert tempered_divergence(dense + 1, dense) == 0.5
