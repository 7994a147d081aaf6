"""The choice of a network's dtype, structure and sparsity together: the fastest that is accurate enough."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from chita_edge.deploy.candidates import DRAFTS, Candidate, drop_of, halve
from chita_edge.quantization.cost_budget import cost_constraints

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import nn

    from chita_edge.deploy.int8_costs import NetworkCosts
    from chita_edge.deploy.judge import Judge
    from chita_edge.pruning import Constraint
    from chita_edge.quantization import Plan, QuantisedNetwork

_LEAST_DENSITY = 0.06
"""No network is tried that costs less than one with so many weights in every layer."""
_DRAFT_LOSS = 0.3
"""Points that a draft may be below what is asked for."""
_ERRORS = 0.5
_EXACT = 1e-6
"""What a difference of two figures may be wrong by."""


class Made(Protocol):
    """Makes the int8 network of some constraints."""

    def __call__(self, constraints: Mapping[str, Constraint], called: str, *, draft: bool = False) -> QuantisedNetwork:
        """The network, or a draft of it on fewer images."""


@dataclass(frozen=True)
class Alternative:
    """A float32 network that could be made in place of one of int8.

    Attributes:
        candidate: not tried yet.
        draft: makes something near it, on fewer images.
    """

    candidate: Candidate
    draft: Callable[[], nn.Module]


@dataclass(frozen=True)
class Choice:
    """What a search came to.

    Attributes:
        candidates: from the fastest by the cost table to the slowest.
        network: of integers; None where float32 was chosen.
        structure: of its zeros; ``1x4`` where layers have ``1x4`` and ``2x4``, whose blocks are two of these.
        remarks: sentences about it.
    """

    candidates: tuple[Candidate, ...]
    network: QuantisedNetwork | None
    structure: str
    remarks: tuple[str, ...] = ()


@dataclass
class Search:
    """Search among int8 networks of different cost, and a float32 one.

    Drafts tell which cost is the least that is accurate enough, by halving; the network of that cost is made and judged
    again. Where it drops further than its draft promised, one is made that is a little slower, then the next slower
    one, at last the one with all weights.
    Float32 is tried where it is predicted to be faster than that, or no int8 network is accurate enough.

    Attributes:
        plan: with the curves of all structures that there may be.
        costs: of the plan's layers.
        unit: of the costs.
        judge: on samples that nothing was fitted on.
        model: the dense network.
        max_drop: see `drop_of`.
        made: makes int8 networks.
        alternative: of float32, if there may be one.
    """

    plan: Plan
    costs: NetworkCosts
    unit: str
    judge: Judge
    model: nn.Module
    max_drop: float
    made: Made
    alternative: Alternative | None = None
    _found: list[tuple[Candidate, Mapping[str, Constraint]]] = field(default_factory=list)

    def run(self) -> Choice:
        """The fastest network within the drop; where there is none, the one that drops least."""
        self._dense = self.judge.network(self.model)
        halve(self._draft, self.costs.least(_LEAST_DENSITY), self.costs.dense)
        self._found.append((Candidate("dense", 0.0, self.costs.dense, self.unit), {}))
        self._found.sort(key=lambda one: one[0].predicted)
        number, network = self._int8()
        best = self._found[number][0]
        candidates = [one for one, _ in self._found]
        if self.alternative is not None:
            other = self.alternative.candidate
            if other.predicted < best.predicted or not self._is_good(best):
                metric, drop = self._judged(self.alternative.draft())
                other = replace(other, metric=metric, drop=drop, draft=True)
            taken = other.drop is not None and (self._is_good(other) or _drop(other) < _drop(best))
            candidates.append(replace(other, chosen=taken))
            if taken:
                candidates[number] = best = replace(best, chosen=False)
                chosen = candidates[-1]
                candidates.sort(key=lambda one: one.predicted)
                return Choice(tuple(candidates), None, chosen.structure, self._remarks(chosen))
        candidates.sort(key=lambda one: one.predicted)
        patterns = {constraint.pattern.name for constraint in self._found[number][1].values()}
        structure = patterns.pop() if len(patterns) == 1 else "1x4"
        return Choice(tuple(candidates), network, structure, self._remarks(best))

    @property
    def _limit(self) -> float:
        """What a network may drop on these samples: of a share, half a standard error less than on any.

        Of n samples that two networks answer differently in a share d the difference has a standard error of √(d / n),
        and the fastest network that passes is likely to be one that was lucky.
        """
        if not self.judge.metric.share:
            return self.max_drop + _EXACT
        error = 100 * math.sqrt(self.max_drop / 100 / max(1, len(self.judge.samples)))
        return max(0.0, self.max_drop - _ERRORS * error) + _EXACT

    def _draft(self, allowed: float) -> bool:
        """Whether a draft of a network of this cost is good enough."""
        constraints = cost_constraints(self.plan, self.costs.layers, allowed - self.costs.fixed)
        candidate = self._candidate(constraints)
        metric, drop = self._judged(self.made(constraints, _called(candidate), draft=True))
        self._found.append((replace(candidate, metric=metric, drop=drop, draft=True), constraints))
        return drop <= self._limit + _DRAFT_LOSS

    def _int8(self) -> tuple[int, QuantisedNetwork]:
        """The place of the int8 network that is taken, and the network."""
        made: dict[int, QuantisedNetwork] = {}
        number = self._next_promising(-1)
        while number is not None:
            candidate, constraints = self._found[number]
            made[number] = self.made(constraints, _called(candidate))
            metric, drop = self._judged(made[number])
            candidate = replace(candidate, metric=metric, drop=drop, draft=False)
            self._found[number] = (candidate, constraints)
            if self._is_good(candidate):
                break
            following = self._next_promising(number)
            if following is not None and len(self._found) <= DRAFTS + 1:
                self._add_behind(number)
                following = number + 1
            number = following
        best = number if number is not None else min(made, key=lambda one: _drop(self._found[one][0]))
        self._found[best] = (replace(self._found[best][0], chosen=True), self._found[best][1])
        return best, made[best]

    def _next_promising(self, number: int) -> int | None:
        """The place of the next slower candidate that is not known to drop too far."""
        limit = self._limit + _DRAFT_LOSS
        for place in range(number + 1, len(self._found)):
            drop = self._found[place][0].drop
            if drop is None or drop <= limit:
                return place
        return None

    def _add_behind(self, number: int) -> None:
        """One more candidate, slower than one by what drafts cannot tell apart."""
        step = (self.costs.dense / self.costs.least(_LEAST_DENSITY)) ** (0.5**DRAFTS)
        allowed = min(step * self._found[number][0].predicted, self.costs.dense)
        constraints = cost_constraints(self.plan, self.costs.layers, allowed - self.costs.fixed)
        self._found.insert(number + 1, (self._candidate(constraints), constraints))

    def _candidate(self, constraints: Mapping[str, Constraint]) -> Candidate:
        patterns = sorted({constraint.pattern.name for constraint in constraints.values()})
        weights = {name: self.plan.graph.layers[name].weight.numel() for name in self.plan.prunable}
        gone = sum(weights[name] - constraint.total for name, constraint in constraints.items())
        predicted = self.costs.predicted(constraints)
        structure = " and ".join(patterns) or "dense"
        return Candidate(structure, gone / max(1, sum(weights.values())), predicted, self.unit)

    def _judged(self, network: nn.Module | QuantisedNetwork) -> tuple[float, float]:
        figure = self.judge.network(network)
        return figure, drop_of(self.judge.metric, self._dense, figure)

    def _is_good(self, candidate: Candidate) -> bool:
        return candidate.drop is not None and candidate.drop <= self._limit

    def _remarks(self, chosen: Candidate) -> tuple[str, ...]:
        if _drop(chosen) <= self.max_drop + _EXACT:
            return ()
        return (
            f"No candidate stays within {self.max_drop:g} of the dense network; the closest is taken. More calibration "
            "images or --distill may help.",
        )


def _drop(candidate: Candidate) -> float:
    return float("inf") if candidate.drop is None else candidate.drop


def _called(candidate: Candidate) -> str:
    return f"int8, {candidate.structure}, {candidate.sparsity:.1%} zeros, {candidate.predicted:.6g} {candidate.unit}"
