from __future__ import annotations

import pytest
import torch
from torch import nn

from chita_edge import PruneConfig, PruneResult, prune

IMAGES = torch.randn(24, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 8),
    ).eval()  # fmt: skip


def sparsities(result: PruneResult) -> dict[str, float]:
    return {layer.name: layer.sparsity for layer in result.figures.layers}


@pytest.mark.parametrize("method", ["default", "magnitude", "chita_pp"])
def test_a_head_is_kept_denser_and_the_others_make_up_for_it(method: str) -> None:
    result = prune(network(), IMAGES, PruneConfig(sparsity=0.8, method=method))
    found = sparsities(result)
    assert found["8.weight"] == pytest.approx(0.4, abs=0.02)
    assert result.figures.sparsity == pytest.approx(0.8, abs=0.01)
    assert [one.name for one in result.figures.dense] == ["0.weight"]


@pytest.mark.parametrize("allocation", ["global", "uniform", "erk"])
def test_single_layers_have_their_own_sparsity(allocation: str) -> None:
    config = PruneConfig(
        sparsity=0.75, method="magnitude", allocation=allocation, sparsities={"re:2.": 0.5, "Linear": 0.0}
    )
    found = sparsities(prune(network(), IMAGES, config))
    assert (found["2.weight"], found["8.weight"]) == (0.5, 0.0)
    assert found["4.weight"] == pytest.approx(0.75, abs=0.01)


def test_budgets_follow_the_names_that_are_left() -> None:
    config = PruneConfig(sparsity=0.5, method="magnitude", ignore=("8",))
    result = prune(network(), IMAGES, config)
    assert list(result.masks) == ["2.weight", "4.weight"]
    assert result.figures.sparsity == pytest.approx(0.5, abs=0.01)
    everything = prune(network(), IMAGES, PruneConfig(sparsity=0.5, method="magnitude", only=("re:.*",)))
    assert list(everything.masks) == ["0.weight", "2.weight", "4.weight", "8.weight"]


def test_patterns_with_fixed_density_have_no_denser_head() -> None:
    result = prune(network(), IMAGES, PruneConfig(sparsity=0.5, method="magnitude", structure="2:4"))
    assert set(sparsities(result).values()) == {0.5}


def test_no_layer_loses_all_its_blocks_where_layers_are_refitted() -> None:
    model = network()
    with torch.no_grad():
        model[4].weight *= 1e-3  # type: ignore[operator]
        model[2].weight *= 1e2  # type: ignore[operator]
    options = {"sparsity": 0.8, "structure": "1x4", "equalise": False, "ignore": ("8",)}
    lost = sparsities(prune(model, IMAGES, PruneConfig(method="magnitude", **options)))  # type: ignore[arg-type]
    assert lost["4.weight"] == 1.0
    kept = sparsities(prune(model, IMAGES, PruneConfig(method="reconstruct", **options)))  # type: ignore[arg-type]
    assert kept["4.weight"] == pytest.approx(1 - 0.3 * 0.2, abs=0.02)
