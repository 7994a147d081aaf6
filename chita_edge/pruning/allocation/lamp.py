"""Budgets from layer-adaptive magnitudes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from chita_edge.pruning.allocation.budgets import global_budget
from chita_edge.pruning.allocation.facts import NOTHING, LayerFacts, given_weights
from chita_edge.pruning.allocation.top import top_mask

if TYPE_CHECKING:
    from collections.abc import Sequence


def lamp_budget(shapes: Sequence[torch.Size], sparsity: float, facts: LayerFacts = NOTHING) -> tuple[int, ...]:
    """Number of weights of each layer among the globally largest LAMP scores (Lee et al. 2021, arXiv 2010.07611).

    The score of a weight is its square over the sum of the squares of its layer's weights that are at least as large
    (equation 4); the largest of each layer has 1, so that no layer is emptied.
    """
    kept = global_budget(tuple(shapes), sparsity)
    weights = given_weights(facts, len(shapes), "lamp")
    scores = torch.cat([lamp_scores(weight) for weight in weights])
    mask = top_mask(scores, kept)
    return tuple(int(part.sum()) for part in torch.split(mask, [shape.numel() for shape in shapes]))


def lamp_scores(weight: torch.Tensor) -> torch.Tensor:
    """LAMP scores, float64, flat.

    Squares 1, 4 and 4 score 1/9, 4/8 and 4/4: among equal ones, those that come later count as larger.
    """
    squares = weight.detach().flatten().double().square()
    order = torch.argsort(squares, stable=True)
    ranked = squares[order]
    remaining = ranked.flip(0).cumsum(0).flip(0)
    scores = torch.empty_like(squares)
    scores[order] = torch.where(remaining > 0, ranked / remaining, 0.0)
    return scores
