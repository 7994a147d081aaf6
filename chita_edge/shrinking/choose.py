"""Choose the channels to keep: a solver on the quadratic of whole channels, under a budget of weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from chita_edge.progress import Progress, silent
from chita_edge.pruning import Constraint, InfeasibleBudgetError, LayerFacts, get_pattern
from chita_edge.pruning.allocation.facts import NOTHING
from chita_edge.shrinking.budget import AtLeastOne

if TYPE_CHECKING:
    import torch

    from chita_edge.pruning import Problem, Solution, Solver
    from chita_edge.pruning.allocation.registry import Allocation
    from chita_edge.shrinking.budget import Counts, WeightsLeft


@dataclass(frozen=True)
class ChannelChoice:
    """Choice of the channels to keep.

    Attributes:
        kept: by name of the group, bool (size,).
        factors: by name of the group, float (size,): the best lengths of the channels in units of the dense ones.
        solution: of the problem of whole channels.
    """

    kept: dict[str, torch.Tensor]
    factors: dict[str, torch.Tensor]
    solution: Solution


def choose_channels(
    problem: Problem,
    solver: Solver,
    allocation: Allocation,
    sparsity: float,
    weights_left: WeightsLeft,
    shapes: tuple[torch.Size, ...],
    facts: LayerFacts = NOTHING,
    progress: Progress = silent,
) -> ChannelChoice:
    """Keep the channels that the solver finds best, at least one in each group.

    A channel that goes takes weights of the layers that write it and of those that read it; the number of channels is
    found by bisection so that as many weights as possible stay within the budget.

    Args:
        problem: of `channel_layers`.
        solver: any.
        allocation: one budget for all, by which channels of different groups compete with each other; or one for each
            weight, from which the groups' shares of channels follow.
        sparsity: share of the weights that go.
        weights_left: of the weights that the sparsity counts.
        shapes: of these weights.
        facts: about these weights, for allocations that want them.
        progress: called with stage "solve".

    Raises:
        InfeasibleBudgetError: one channel in each group is more than the budget allows.
    """
    pattern, sizes = AtLeastOne(), weights_left.sizes
    dense = sum(shape.numel() for shape in shapes)
    target = round(dense * (1 - sparsity))
    if isinstance(allocation(shapes, sparsity, facts), int):

        @cache
        def solved(total: int) -> Solution:
            return solver.solve(problem, Constraint(pattern, problem.shapes, total))

        def ranked(t: float) -> Counts:
            total = round(len(sizes) + t * (sum(sizes) - len(sizes)))
            return Constraint(pattern, problem.shapes, total).counts(solved(total).mask)

        constraint = Constraint(pattern, problem.shapes, sum(weights_left.largest(ranked, target)))
    else:

        def shared(t: float) -> Counts:
            try:
                budgets = allocation(shapes, 1 - t, facts)
            except InfeasibleBudgetError:  # it would leave a layer nothing
                return (1,) * len(sizes)
            assert not isinstance(budgets, int)  # noqa: S101 (it was none for this allocation above)
            densities = [kept / shape.numel() for kept, shape in zip(budgets, shapes, strict=True)]
            shares = weights_left.shares(densities)
            return tuple(max(1, min(size, round(share * size))) for share, size in zip(shares, sizes, strict=True))

        # A number for each group is at least one as it is, and solvers search unstructured sets most thoroughly.
        constraint = Constraint(get_pattern("unstructured"), problem.shapes, weights_left.largest(shared, target))
    solution = solver.solve(problem, constraint, progress)
    kept, factors = {}, {}
    for layer, (start, stop) in zip(problem.layers, problem.bounds, strict=True):
        kept[layer.name] = solution.mask[start:stop].clone()
        lengths = layer.weight[:, 0]
        factors[layer.name] = solution.weights[start:stop] / lengths.where(lengths > 0, 1.0)
    return ChannelChoice(kept, factors, solution)
