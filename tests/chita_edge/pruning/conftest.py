from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import pytest
import torch

from chita_edge.pruning import Constraint, Layer, Problem, get_pattern

MakeProblem = Callable[..., Problem]


def _random_problem(
    shapes: tuple[tuple[int, int], ...] = ((3, 2), (2, 4)),
    n: int = 8,
    *,
    seed: int = 0,
    correlation: float = 0.0,
    rank: int | None = None,
    ridge: float = 1e-2,
    first_order: float = 0.0,
) -> Problem:
    """Signed gradients; ``correlation`` adds a part shared by all weights, ``rank`` limits A's rank."""
    rng = torch.Generator().manual_seed(seed)
    p = sum(a * b for a, b in shapes)
    columns = torch.randn(p, rank or n, generator=rng)
    if rank is not None:
        columns = columns @ torch.randn(rank, n, generator=rng)
    columns += correlation * torch.randn(1, n, generator=rng) * torch.randn(p, 1, generator=rng).sign()
    layers, start = [], 0
    for number, (a, b) in enumerate(shapes):
        layers.append(
            Layer(f"layer{number}", torch.randn(a, b, generator=rng), columns[start : start + a * b].contiguous())
        )
        start += a * b
    return Problem(tuple(layers), ridge, first_order)


def _keep(problem: Problem, count: int | tuple[int, ...]) -> Constraint:
    return Constraint(get_pattern("unstructured"), problem.shapes, count)


def _best_subset(problem: Problem, count: int) -> float:
    """The least objective over all supports of this size, by trying every one, in float64."""
    A = torch.cat([layer.gradients for layer in problem.layers]).T.double()
    w = problem.dense.double()
    supports = torch.tensor(list(combinations(range(len(w)), count)))
    hessian = A.T @ A + problem.damping * torch.eye(len(w), dtype=torch.float64)
    linear = problem.first_order * A.sum(0) - hessian @ w  # Q(w') = ½w'ᵀHw' + linearᵀw' + constant
    constant = 0.5 * w @ hessian @ w - problem.first_order * A.sum(0) @ w
    inner = hessian[supports[:, :, None], supports[:, None, :]]
    right = linear[supports]
    best = torch.linalg.solve(inner, right[:, :, None])[:, :, 0]
    return float((constant - 0.5 * (right * best).sum(1)).min())


@pytest.fixture(scope="session")
def random_problem() -> MakeProblem:
    return _random_problem


@pytest.fixture(scope="session")
def keep() -> Callable[[Problem, int | tuple[int, ...]], Constraint]:
    return _keep


@pytest.fixture(scope="session")
def best_subset() -> Callable[[Problem, int], float]:
    return _best_subset
