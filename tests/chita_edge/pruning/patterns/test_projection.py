"""Each pattern's projection against the best of all masks, found by trying every set of units."""

from __future__ import annotations

from itertools import combinations, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chita_edge.pruning import PATTERNS, Constraint, get_pattern


def allowed(name: str, mask: torch.Tensor) -> bool:
    """Whether a mask of (outputs, channels, kernel) is of the pattern, by its definition."""
    outputs, channels, kernel = mask.shape
    if name == "unstructured":
        return True
    if ":" in name:
        n, m = map(int, name.split(":"))
        cells = (mask[o, c : c + m, k] for o, c, k in product(range(outputs), range(0, channels, m), range(kernel)))
        return all(int(cell.sum()) <= n for cell in cells)
    out, inputs = {"filter": (1, channels), "channel": (outputs, 1)}.get(name) or tuple(map(int, name.split("x")))
    whole = name in ("filter", "channel")
    for o, c in product(range(0, outputs, out), range(0, channels, inputs)):
        block = mask[o : o + out, c : c + inputs]
        parts = [block] if whole else [block[:, :, k] for k in range(kernel)]
        if any(bool(part.any()) and not bool(part.all()) for part in parts):
            return False
    return True


SHAPES = {
    "unstructured": ((2, 4, 1), (1, 3, 2)),
    "2:4": ((1, 8, 1), (1, 5, 1)),
    "1:4": ((2, 4, 1), (1, 3, 2)),
    "4:8": ((1, 8, 1), (1, 9, 1)),
    "2:3": ((2, 3, 1), (1, 4, 2)),
    "1:16": ((1, 9, 1), (2, 4, 1)),
    "1x4": ((2, 4, 1), (1, 6, 2), (2, 5, 1)),
    "2x4": ((4, 4, 1), (2, 6, 2), (3, 4, 1)),
    "4x1": ((4, 2, 1), (6, 1, 2), (5, 2, 1)),
    "2x1": ((4, 2, 1), (3, 2, 1), (3, 1, 3)),
    "filter": ((3, 2, 2), (4, 3, 1)),
    "channel": ((2, 3, 2), (3, 4, 1)),
}


def test_all_patterns_are_here() -> None:
    assert set(PATTERNS) <= set(SHAPES)


@pytest.mark.parametrize("name", list(SHAPES))
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_projection_is_the_best_of_all_masks(name: str, data: st.DataObject) -> None:
    shape = torch.Size(data.draw(st.sampled_from(SHAPES[name])))
    size = shape.numel()
    keep = data.draw(st.integers(0, size))
    scores = torch.tensor(data.draw(st.lists(st.integers(0, 20), min_size=size, max_size=size))).float()
    mask = Constraint(get_pattern(name), (shape,), keep).project(scores)
    assert allowed(name, mask.view(shape))
    assert int(mask.sum()) <= keep
    assert float(scores[mask].sum()) == best(name, shape, keep, scores)


def best(name: str, shape: torch.Size, keep: int, scores: torch.Tensor) -> float:
    """The largest total score of a mask of the pattern with at most so many weights."""
    found = (_unit(name, shape, place) for place in range(shape.numel()))
    units = list({tuple(unit.tolist()): unit for unit in found}.values())
    masks = (
        torch.stack(chosen).any(0) if chosen else torch.zeros(shape.numel(), dtype=torch.bool)
        for count in range(len(units) + 1)
        for chosen in combinations(units, count)
    )
    fitting = (mask for mask in masks if int(mask.sum()) <= keep and allowed(name, mask.view(shape)))
    return max(float(scores[mask].sum()) for mask in fitting)


def _unit(name: str, shape: torch.Size, place: int) -> torch.Tensor:
    """The smallest mask of the pattern that holds this weight: grown until the definition is satisfied."""
    _, channels, kernel = shape
    o, c, k = place // (channels * kernel), place // kernel % channels, place % kernel
    mask = torch.zeros(shape, dtype=torch.bool)
    if name == "filter":
        mask[o] = True
    elif name == "channel":
        mask[:, c] = True
    elif "x" in name:
        out, inputs = map(int, name.split("x"))
        mask[o // out * out : (o // out + 1) * out, c // inputs * inputs : (c // inputs + 1) * inputs, k] = True
    else:
        mask[o, c, k] = True
    return mask.flatten()
