"""Budget of channels for a given share of the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from chita_edge.pruning import InfeasibleBudgetError
from chita_edge.pruning.patterns.cut import Cut

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import nn

    from chita_edge.shrinking.channel_group import ChannelGroup

    Counts = tuple[int, ...]


_EACH_CHANNEL = Cut.rows(1)


@dataclass(frozen=True)
class AtLeastOne:
    """The pattern of the channels of groups: any may go but the best of each group.

    A layer's shape is (channels of the group, 1). Two of six channels in two groups::

        0.9 0.8 0.7   0.1 0.2 0.1   →   1 0 0   0 1 0
    """

    name: str = "at least one"
    cut: Cut = _EACH_CHANNEL

    def unit_scores(self, scores: torch.Tensor) -> torch.Tensor:
        """The scores, flat, the largest one (the first of equal ones) put before all others."""
        flat = scores.flatten().clone()
        flat[flat.argmax()] = torch.inf
        return flat

    def unit_sizes(self, shape: torch.Size) -> torch.Tensor:
        """All ones."""
        return torch.ones(shape.numel(), dtype=torch.int64)

    def expand(self, kept: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        """The mask itself, in the layer's shape."""
        return kept.view(shape)


@dataclass(frozen=True)
class _Weight:
    """A weight's sides: channels in all, and by number of the group, how many belong to one channel of it."""

    outputs: int
    inputs: int
    positions: int
    by_output: tuple[tuple[int, float], ...]
    by_input: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class WeightsLeft:
    """Counts the weights that are left when groups keep given numbers of channels."""

    sizes: Counts
    weights: tuple[_Weight, ...]

    @classmethod
    def of(cls, model: nn.Module, groups: Sequence[ChannelGroup], names: Sequence[str]) -> WeightsLeft:
        """For these weights of a network."""
        parameters = dict(model.named_parameters())
        weights = []
        for name in names:
            layer, shape = name.removesuffix(".weight"), parameters[name].shape
            sides = {
                reads: tuple(
                    (number, len(member.channels) / group.size)
                    for number, group in enumerate(groups)
                    for member in group.members
                    if member.layer == layer and (member.role == "reads") == reads
                )
                for reads in (False, True)
            }
            weights.append(_Weight(shape[0], shape[1], shape[2:].numel(), sides[False], sides[True]))
        return cls(tuple(group.size for group in groups), tuple(weights))

    def __call__(self, counts: Sequence[int]) -> int:
        """Weights left with so many channels in each group."""

        def left(total: int, parts: tuple[tuple[int, float], ...]) -> float:
            return total - sum((self.sizes[number] - counts[number]) * each for number, each in parts)

        exact = (left(w.outputs, w.by_output) * left(w.inputs, w.by_input) * w.positions for w in self.weights)
        return round(sum(exact))

    def shares(self, densities: Sequence[float]) -> tuple[float, ...]:
        """The share of its channels that each group keeps so that the weights get about these densities.

        A weight loses on both sides, so the square root of its density falls to each; a group takes the mean over the
        weights that it belongs to. A group of none of them keeps all its channels.
        """
        roots: list[list[float]] = [[] for _ in self.sizes]
        for weight, density in zip(self.weights, densities, strict=True):
            both = bool(weight.by_output and weight.by_input)
            for number, _ in weight.by_output + weight.by_input:
                roots[number].append(density**0.5 if both else density)
        return tuple(sum(root) / len(root) if root else 1.0 for root in roots)

    def largest(self, counts_of: Callable[[float], Counts], target: int) -> Counts:
        """The most channels with at most ``target`` weights: bisection over t ∈ [0, 1], in which counts must rise.

        Raises:
            InfeasibleBudgetError: even the counts at t = 0 leave more.
        """
        low, high = 0.0, 1.0
        best = counts_of(low)
        if self(best) > target:
            raise InfeasibleBudgetError(
                f"{target} weights cannot be kept in whole channels: one channel of each group alone leaves "
                f"{self(best)}. Ask for less sparsity."
            )
        if self(counts_of(high)) <= target:
            return counts_of(high)
        for _ in range(20):
            middle = (low + high) / 2
            counts = counts_of(middle)
            if self(counts) <= target:
                low, best = middle, counts
            else:
                high = middle
        return best
