from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from chita_edge.pruning import Constraint, get_pattern
from chita_edge.pruning.reconstruction import LayerFit
from chita_edge.quantization.graph import Clip, Layer
from chita_edge.quantization.refit import refit, saliency
from chita_edge.quantization.samples import Samples

NOTHING = Clip()


def problem(groups: int, count: int = 400) -> tuple[Layer, Samples]:
    rng = torch.Generator().manual_seed(0)
    layer = Layer(torch.randn(6, 12 // groups, 1, 1, generator=rng), torch.randn(6, generator=rng), groups=groups)
    dense = torch.randn(groups, count, 12 // groups, generator=rng) @ torch.randn(
        12 // groups, 12 // groups, generator=rng
    )
    wanted = (dense @ layer.weight.view(groups, 6 // groups, -1).mT).permute(1, 0, 2).flatten(1) + layer.bias
    return layer, Samples(dense + 0.5 * torch.randn(dense.shape, generator=rng) + 0.5, wanted)


@pytest.mark.parametrize("groups", [1, 2])
def test_dense_refit_is_the_least_squares_fit_in_each_group(groups: int) -> None:
    layer, samples = problem(groups)
    found = refit(layer, samples, 0.0, NOTHING)
    assert bool(found.mask.all())
    got = samples.outputs(found.weights, found.mean.float())
    for group in range(groups):
        rows = slice(group * 6 // groups, (group + 1) * 6 // groups)
        seen = torch.cat((samples.inputs[group], torch.ones(400, 1)), 1).double()
        best = seen @ torch.linalg.lstsq(seen, samples.wanted[:, rows].double()).solution
        torch.testing.assert_close(got[:, rows].double(), best, rtol=1e-3, atol=1e-3)


def test_the_bias_keeps_the_mean_whatever_the_weights() -> None:
    layer, samples = problem(1)
    found = refit(layer, samples, 1e-2, NOTHING)
    other = torch.randn(6, 12, generator=torch.Generator().manual_seed(5))
    got = samples.inputs[0] @ other.T + found.bias(samples, other).float()
    torch.testing.assert_close(got.mean(0), samples.wanted.mean(0), rtol=1e-4, atol=1e-4)


def test_a_strong_ridge_leaves_the_dense_weights() -> None:
    layer, samples = problem(1)
    torch.testing.assert_close(refit(layer, samples, 1e6, NOTHING).weights, layer.weight.flatten(1), rtol=0, atol=1e-4)


def test_sparse_refit_keeps_the_count_and_the_pattern() -> None:
    layer, samples = problem(1)
    constraint = Constraint(get_pattern("1x4"), (layer.weight.shape,), (32,))
    start = torch.zeros(layer.weight.shape).bool()
    start[:, :4] = True
    start[:2, 4:8] = True
    errors = []
    for mask, search in ((start, False), (None, False), (None, True)):
        found = refit(layer, samples, 1e-3, NOTHING, constraint, mask, search=search)
        assert int(found.mask.sum()) == 32 and bool((found.weights[~found.mask] == 0).all())
        assert bool((found.mask.view(6, 3, 4).sum(2) % 4 == 0).all())
        assert search or mask is None or torch.equal(found.mask, start.flatten(1))
        errors.append(float((samples.outputs(found.weights, found.mean.float()) - samples.wanted).square().mean()))
    assert errors[2] <= errors[1] * 1.001 and errors[2] < 0.9 * errors[0]


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("clip", [Clip(0.0), Clip(0.0, 1.5)])
def test_rounds_lower_the_error_behind_the_activation(clip: Clip, sparse: bool) -> None:
    layer, samples = problem(1)
    constraint = Constraint(get_pattern("1x4"), (layer.weight.shape,), (24,)) if sparse else None
    errors = []
    for rounds in (0, 1, 3, 10):
        found = refit(layer, samples, 1e-4, clip, constraint, rounds=rounds)
        got = clip(samples.outputs(found.weights, found.mean.float()))
        errors.append(float((got - clip(samples.wanted)).square().mean()))
    # To the ridge's pull and the precision of float32.
    assert all(later < 1.0005 * earlier for earlier, later in pairwise(errors))
    assert errors[3] < 0.985 * errors[0]


def test_saliency_is_what_a_removal_costs() -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(100, 5, generator=rng) @ torch.randn(5, 5, generator=rng)
    fit = LayerFit(torch.randn(1, 5, generator=rng), x.T @ x / 100, x.T @ x / 100, 0.0)
    hessian = fit.hessian.double()
    for j in range(5):
        kept = [i for i in range(5) if i != j]
        step = torch.zeros(5, dtype=torch.float64)
        step[j] = -fit.dense[0, j]
        step[kept] = torch.linalg.solve(hessian[kept][:, kept], hessian[kept, j] * fit.dense[0, j])
        assert float(saliency(fit)[0, j]) == pytest.approx(float(step @ hessian @ step), rel=1e-3)


def test_outputs_of_more_importance_keep_more_and_a_scale_of_outputs_changes_nothing() -> None:
    layer, samples = problem(1)
    constraint = Constraint(get_pattern("1x4"), (layer.weight.shape,), (32,))

    def found(importance: torch.Tensor | None, factor: torch.Tensor | None = None) -> torch.Tensor:
        scale = torch.ones(6) if factor is None else factor
        scaled = replace(layer, weight=layer.weight * scale[:, None, None, None], bias=layer.bias * scale)
        seen = Samples(samples.inputs, samples.wanted * scale)
        return refit(scaled, seen, 1e-3, NOTHING, constraint, importance=importance).mask

    assert torch.equal(found(torch.ones(6)), found(None))
    assert torch.equal(found(torch.zeros(6)), found(None))
    kept = found(torch.tensor([1e4, 1e4, 1.0, 1.0, 1e-4, 1e-4])).sum(1)
    assert int(kept[:2].sum()) == 24 and int(kept[4:].sum()) == 0
    # Powers of two, so that every product is the same to the bit: what counts is the error behind the scale.
    factor = torch.tensor([1.0, 8.0, 0.25, 2.0, 0.5, 4.0])
    assert torch.equal(found(factor**-2, factor), found(None))
    assert not torch.equal(found(None, factor), found(None))
