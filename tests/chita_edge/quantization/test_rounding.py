from __future__ import annotations

from itertools import product

import pytest
import torch

from chita_edge.quantization.rounding import largest_code, round_nearest, round_rows, round_with_gram, row_scales


def problems(count: int, size: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Real weights in units of their scale, |t| < 6, and Gram matrices of correlated inputs, with a ridge."""
    rng = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, 3 * size, size, generator=rng) @ torch.randn(count, size, size, generator=rng)
    gram = inputs.mT @ inputs / (3 * size)
    gram += 0.01 * gram.diagonal(dim1=1, dim2=2).mean(1)[:, None, None] * torch.eye(size)
    return 6 * (2 * torch.rand(count, size, generator=rng) - 1), gram


def test_is_within_a_percent_of_the_best_of_all_roundings() -> None:
    """Of 2ⁿ ways to round each weight down or up, n ≤ 12, in 99 % of 1,000 problems."""
    within = total = 0
    for size, count in ((2, 100), (4, 200), (8, 350), (12, 350)):
        target, gram = problems(count, size, size)
        found = target - round_rows(target, gram, 7, 8)
        value = torch.einsum("ri,rij,rj->r", found, gram, found)
        choices = torch.tensor(list(product((0.0, 1.0), repeat=size)))
        fraction = target - target.floor()
        factor = torch.linalg.cholesky(gram)
        best = torch.stack([
            ((rest - choices) @ lower).square().sum(1).min() for rest, lower in zip(fraction, factor, strict=True)
        ])  # fmt: skip
        within += int((value <= 1.01 * best + 1e-9).sum())
        total += count
    assert total == 1000 and within >= 990


@pytest.mark.parametrize("beam", [1, 8])
def test_never_worse_than_to_nearest_and_zero_outside_the_mask(beam: int) -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(400, 40, generator=rng) @ torch.randn(40, 40, generator=rng)
    gram, weights = x.T @ x / 400, torch.randn(30, 40, generator=rng)
    mask = torch.rand(30, 40, generator=rng) < torch.linspace(0, 1, 30)[:, None]
    weights = weights * mask
    scale = row_scales(weights, torch.zeros(30), 1.0, 4)
    codes = round_with_gram(weights, scale, mask, gram, bits=4, beam=beam)
    nearest = round_nearest(weights, scale, 4)
    assert bool((codes[~mask] == 0).all()) and float(codes.abs().max()) <= 7
    assert torch.equal(codes, codes.round())
    hessian = gram + 1e-2 * gram.diagonal().mean() * torch.eye(40)

    def error(q: torch.Tensor) -> torch.Tensor:
        rest = weights - scale[:, None] * q
        return ((rest @ hessian) * rest).sum(1)

    assert bool((error(codes) <= error(nearest) * 1.0001 + 1e-6).all())
    assert float(error(codes).sum()) < 0.7 * float(error(nearest).sum())


def test_scales_reach_the_largest_weight_and_hold_the_bias() -> None:
    weights = torch.tensor([[1.0, -2.54], [1e-12, 0.0], [0.0, 0.0], [0.0, 0.0]])
    bias = torch.tensor([0.1, 5.0, -3.0, 0.0])
    scale = row_scales(weights, bias, 0.02)
    assert float(scale[0]) == pytest.approx(2.54 / 127)
    codes = (bias / (0.02 * scale)).abs()
    assert bool((codes <= 2**29 * 1.001).all()) and bool((scale > 0).all())
    assert float(codes[2]) == pytest.approx(2**20)
    assert round_nearest(weights, scale)[0].tolist() == [50, -127]


def test_fewer_bits_have_smaller_scales_where_that_rounds_better() -> None:
    rng = torch.Generator().manual_seed(0)
    weights = torch.randn(20, 300, generator=rng)
    scale, widest = row_scales(weights, torch.zeros(20), 1.0, 4), weights.abs().amax(1) / 7

    def error(s: torch.Tensor) -> float:
        return float((round_nearest(weights, s, 4) * s[:, None] - weights).square().sum())

    assert error(scale) < 0.8 * error(widest)
    assert (largest_code(8), largest_code(4), largest_code(2)) == (127, 7, 1)
