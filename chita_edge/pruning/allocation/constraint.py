"""The set of sparse vectors that a solver may choose from: a pattern with a budget, and the projection onto it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from chita_edge.pruning.allocation.top import top_mask
from chita_edge.pruning.errors import InfeasibleBudgetError, NonFiniteProblemError
from chita_edge.pruning.patterns.cut import Cut

if TYPE_CHECKING:
    from chita_edge.pruning.patterns.pattern import Pattern


@dataclass(frozen=True)
class Constraint:
    """Masks of a pattern over several layers that keep given numbers of weights.

    Attributes:
        pattern: which weights of a layer go together.
        shapes: the layers' weight shapes.
        keep: one number, the weights kept over all layers (a global budget), or one number a layer.

    """

    pattern: Pattern
    shapes: tuple[torch.Size, ...]
    keep: int | tuple[int, ...]

    def __post_init__(self) -> None:
        sizes = [shape.numel() for shape in self.shapes]
        if isinstance(self.keep, int):
            if not 0 <= self.keep <= sum(sizes):
                raise InfeasibleBudgetError(f"{self.keep} weights cannot be kept of {sum(sizes)}.")
        elif len(self.keep) != len(sizes):
            raise InfeasibleBudgetError(f"{len(self.keep)} budgets do not fit {len(sizes)} layers.")
        else:
            for number, (keep, size) in enumerate(zip(self.keep, sizes, strict=True)):
                if not 0 <= keep <= size:
                    raise InfeasibleBudgetError(f"{keep} weights cannot be kept of the {size} of layer {number}.")

    @property
    def total(self) -> int:
        """Number of weights kept."""
        return self.keep if isinstance(self.keep, int) else sum(self.keep)

    def project(self, scores: torch.Tensor) -> torch.Tensor:
        """The mask of this set with the largest total score.

        With the squares of a vector for scores this is the Euclidean projection of the vector onto the set.

        Args:
            scores: flat float (p,), not negative, the layers one after another.

        Returns:
            bool (p,); exactly the budget for unstructured masks, as close below it as whole units allow for others.

        Raises:
            NonFiniteProblemError: a score is NaN.

        """
        if bool(scores.isnan().any()):
            raise NonFiniteProblemError("The scores to select weights by hold NaN. Check the weights and gradients.")
        parts = [part.view(shape) for part, shape in zip(torch.split(scores, self._sizes), self.shapes, strict=True)]
        units = [self.pattern.unit_scores(part) for part in parts]
        if isinstance(self.keep, int):
            sizes = [self.pattern.unit_sizes(shape) for shape in self.shapes]
            chosen = torch.split(_choose(torch.cat(units), torch.cat(sizes), self.keep), [len(unit) for unit in units])
        else:
            chosen = tuple(
                _choose(unit, self.pattern.unit_sizes(shape), keep)
                for unit, shape, keep in zip(units, self.shapes, self.keep, strict=True)
            )
        masks = [self.pattern.expand(kept, shape) for kept, shape in zip(chosen, self.shapes, strict=True)]
        return torch.cat([mask.flatten() for mask in masks])

    def part(self, layer: int, start: int, stop: int, keep: int) -> Constraint:
        """Constraint with a budget of its own on flat indices ``start`` to ``stop`` of one layer.

        The cut must be one that `Pattern.cut` allows.
        """
        shape = self.shapes[layer]
        size = stop - start
        if self.pattern.cut == Cut.ANYWHERE:
            part = torch.Size((1, size))
        else:
            part = torch.Size((size * shape[0] // shape.numel(), *shape[1:]))
        return Constraint(self.pattern, (part,), keep)

    def counts(self, mask: torch.Tensor) -> tuple[int, ...]:
        """Number of weights that a flat mask keeps in each layer."""
        return tuple(int(part.sum()) for part in torch.split(mask, self._sizes))

    @property
    def _sizes(self) -> list[int]:
        return [shape.numel() for shape in self.shapes]


def _choose(scores: torch.Tensor, sizes: torch.Tensor, keep: int) -> torch.Tensor:
    """Units of the largest score a weight whose sizes add up to at most ``keep``."""
    allowed = scores > -torch.inf
    if bool((sizes == sizes[0]).all()):
        count = min(keep // int(sizes[0]), int(allowed.sum()))
        return top_mask(scores, count)
    if len(torch.unique(sizes)) == 2:  # whole blocks, and smaller ones at an edge
        return _choose_of_two(scores.where(allowed, -torch.inf), sizes, keep)
    order = torch.argsort(scores / sizes, descending=True, stable=True)
    order = order[allowed[order]]
    fits = sizes[order].cumsum(0) <= keep
    kept = torch.zeros_like(allowed)
    kept[order[fits]] = True
    return kept


def _choose_of_two(scores: torch.Tensor, sizes: torch.Tensor, keep: int) -> torch.Tensor:
    """The units of the largest total score where they have two sizes: for each number of small ones, the best large."""
    small, large = (int(size) for size in torch.unique(sizes))
    places = [(sizes == size).nonzero()[:, 0] for size in (small, large)]
    orders = [place[torch.argsort(scores[place], descending=True, stable=True)] for place in places]
    orders = [order[scores[order] > -torch.inf] for order in orders]
    totals = [torch.cat([scores.new_zeros(1), scores[order]]).double().cumsum(0) for order in orders]
    smalls = torch.arange(min(len(orders[0]), keep // small) + 1)
    larges = ((keep - smalls * small) // large).clamp_max(len(orders[1]))
    best = int((totals[0][smalls] + totals[1][larges]).argmax())
    kept = torch.zeros_like(sizes, dtype=torch.bool)
    kept[orders[0][: int(smalls[best])]] = True
    kept[orders[1][: int(larges[best])]] = True
    return kept
