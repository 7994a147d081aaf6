from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from chita_edge.pruning import Constraint, InfeasibleBudgetError
from chita_edge.shrinking import AtLeastOne, WeightsLeft, channel_groups, weight_masks

Network = Callable[[str], tuple[nn.Module, torch.Tensor]]


@pytest.mark.parametrize("name", ["joined", "mobilenet_v2", "resnet20_cifar"])
def test_counts_what_the_masks_leave(name: str, network: Network) -> None:
    model, images = network(name)
    groups = channel_groups(model, images[:1])
    names = tuple(f"{n}.weight" for n, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear))
    rng = torch.Generator().manual_seed(0)
    kept = {group.name: torch.rand(group.size, generator=rng) < 0.6 for group in groups}
    masks = weight_masks(model, groups, kept, names)
    left = WeightsLeft.of(model, groups, names)
    assert left([int(kept[group.name].sum()) for group in groups]) == sum(int(mask.sum()) for mask in masks.values())
    assert left(left.sizes) == sum(mask.numel() for mask in masks.values())


@settings(max_examples=50)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.data())
def test_projection_is_the_best_with_one_of_each_group(sizes: list[int], data: st.DataObject) -> None:
    total = data.draw(st.integers(len(sizes), sum(sizes)))
    scores = torch.tensor(data.draw(st.lists(st.integers(0, 9), min_size=sum(sizes), max_size=sum(sizes)))).float()
    shapes = tuple(torch.Size((size, 1)) for size in sizes)
    mask = Constraint(AtLeastOne(), shapes, total).project(scores)
    parts = torch.split(mask, sizes)
    assert int(mask.sum()) == total
    assert all(bool(part.any()) for part in parts)
    best = [float(part.max()) for part in torch.split(scores, sizes)]
    rest = sorted((float(s) for s in scores), reverse=True)
    for value in best:
        rest.remove(value)
    assert float(scores[mask].sum()) == pytest.approx(sum(best) + sum(rest[: total - len(sizes)]))


def test_largest_counts_within_a_target(network: Network) -> None:
    model, images = network("resnet20_cifar")
    groups = channel_groups(model, images[:1])
    names = [f"{n}.weight" for n, m in model.named_modules() if isinstance(m, nn.Conv2d)]
    left = WeightsLeft.of(model, groups, names)

    def counts_of(t: float) -> tuple[int, ...]:
        return tuple(max(1, round(t * size)) for size in left.sizes)

    counts = left.largest(counts_of, left(left.sizes) // 2)
    assert left(counts) <= left(left.sizes) // 2 < left([count + 1 for count in counts])
    with pytest.raises(InfeasibleBudgetError, match="cannot be kept in whole channels"):
        left.largest(counts_of, 3)


def test_shares_are_the_roots_of_the_densities(network: Network) -> None:
    model, images = network("mobilenet_v1")
    groups = channel_groups(model, images[:1])
    names = [f"features.{block}.1.0.weight" for block in range(1, 14)]
    shares = WeightsLeft.of(model, groups, names).shares([0.25] * len(names))
    assert shares == pytest.approx([0.5] * 14)
