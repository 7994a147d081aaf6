from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from chita_edge.pruning import Constraint, get_pattern

NAMES = ("1x4", "2x4", "4x1", "2x1", "filter", "channel")


def test_small_matrix() -> None:
    scores = torch.tensor([[9.0, 1, 4, 2, 1, 2, 1, 0], [1, 2, 1, 1, 8, 1, 3, 5]])
    mask = Constraint(get_pattern("1x4"), (scores.shape,), 8).project(scores.flatten()).view(scores.shape)
    assert mask.int().tolist() == [[1, 1, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, 1, 1]]


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("1x4", lambda o, i, h: (o, i // 4, h)),
        ("2x4", lambda o, i, h: (o // 2, i // 4, h)),
        ("4x1", lambda o, i, h: (o // 4, i, h)),
        ("2x1", lambda o, i, h: (o // 2, i, h)),
        ("filter", lambda o, i, h: o),
        ("channel", lambda o, i, h: i),
    ],
)
def test_units_are_those_of_the_definition(name: str, same: object) -> None:
    shape = torch.Size((6, 5, 2, 1))
    pattern = get_pattern(name)
    scores = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    groups: dict[object, list[float]] = {}
    for o in range(6):
        for i in range(5):
            for h in range(2):
                groups.setdefault(same(o, i, h), []).append(float(scores[o, i, h, 0]))  # type: ignore[operator]
    assert pattern.unit_scores(scores).tolist() == pytest.approx([sum(group) for group in groups.values()])
    assert pattern.unit_sizes(shape).tolist() == [len(group) for group in groups.values()]


@given(st.sampled_from(NAMES), st.integers(1, 9), st.integers(1, 9), st.integers(1, 3), st.integers(0, 243))
def test_whole_units_within_the_budget(name: str, outputs: int, channels: int, kernel: int, keep: int) -> None:
    shape = torch.Size((outputs, channels, kernel, 1))
    keep = min(keep, shape.numel())
    pattern = get_pattern(name)
    scores = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    mask = Constraint(pattern, (shape,), keep).project(scores.flatten()).view(shape)
    sizes = pattern.unit_sizes(shape)
    kept = pattern.unit_scores(mask.float())
    assert bool(((kept == 0) | (kept == sizes)).all())
    assert keep - int(sizes.max()) < int(mask.sum()) <= keep
