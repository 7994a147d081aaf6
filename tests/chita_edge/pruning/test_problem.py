from __future__ import annotations

import pytest
import torch

from chita_edge.pruning import Layer, NonFiniteProblemError, Problem, PruningError


def problem(first_order: float = 0.0, ridge: float = 0.1) -> Problem:
    rng = torch.Generator().manual_seed(0)
    layers = tuple(
        Layer(name, torch.randn(shape, generator=rng), torch.randn(shape[0] * shape[1], 5, generator=rng))
        for name, shape in (("a", (3, 2)), ("b", (2, 4)))
    )
    return Problem(layers, ridge, first_order)


def explicit(p: Problem, w: torch.Tensor) -> torch.Tensor:
    A = torch.cat([layer.gradients for layer in p.layers]).T.double()
    d = w.double() - p.dense.double()
    return 0.5 * (A @ d).square().sum() + p.first_order * (A @ d).sum() + 0.5 * p.samples * p.ridge * d.square().sum()


@pytest.mark.parametrize("first_order", [0.0, 1.0])
def test_objective_and_gradient_are_those_of_the_definition(first_order: float) -> None:
    p = problem(first_order)
    w = torch.randn(14, generator=torch.Generator().manual_seed(1)).double().requires_grad_()
    value = explicit(p, w)
    value.backward()
    assert p.objective(w.detach().float()) == pytest.approx(float(value.detach()), rel=1e-5)
    assert w.grad is not None
    torch.testing.assert_close(p.gradient(w.detach().float()), w.grad.float(), rtol=1e-4, atol=1e-4)


def test_curvature_is_the_diagonal_of_the_hessian() -> None:
    p = problem()
    hessian = torch.autograd.functional.hessian(lambda w: explicit(p, w), p.dense.double())
    torch.testing.assert_close(p.curvature().double(), hessian.diagonal(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("first_order", [0.0, 1.0])
def test_restriction_is_the_objective_with_the_others_zero(first_order: float) -> None:
    p = problem(first_order)
    chosen = torch.tensor([1, 2, 7, 8, 13])
    q = p.restrict(chosen)
    values = torch.tensor([0.3, -1.0, 0.5, 2.0, 0.0])
    whole = torch.zeros(14)
    whole[chosen] = values
    assert q.objective(values) == pytest.approx(p.objective(whole), rel=1e-5)
    inner = torch.tensor([0, 3])
    values[[1, 2, 4]] = 0
    whole[chosen] = values
    assert q.restrict(inner).objective(values[inner]) == pytest.approx(p.objective(whole), rel=1e-5)


def test_dense_weights_cost_nothing() -> None:
    assert problem(1.0).objective(problem(1.0).dense) == pytest.approx(0.0, abs=1e-9)


def test_refuses_what_does_not_fit() -> None:
    layer = problem().layers[0]
    with pytest.raises(PruningError, match="no layer to prune"):
        Problem(())
    with pytest.raises(PruningError, match=r"The gradients of a have shape \(5, 5\), not \(6, 5\)"):
        Problem((Layer("a", layer.weight, layer.gradients[:5]),))
    with pytest.raises(PruningError, match="ridge"):
        Problem((layer,), ridge=-1.0)
    with pytest.raises(PruningError, match="ridge"):
        Problem((layer,), ridge=float("nan"))
    with pytest.raises(NonFiniteProblemError, match="weights of a"):
        Problem((Layer("a", layer.weight / 0, layer.gradients),))


class Elsewhere:
    """Columns that are not in memory."""

    def __init__(self, columns: torch.Tensor) -> None:
        self.columns, self.shape = columns, columns.shape

    def __getitem__(self, rows: slice) -> torch.Tensor:
        return self.columns[rows]

    def index_select(self, dim: int, index: torch.Tensor) -> torch.Tensor:
        return self.columns.index_select(dim, index)

    def times(self, vector: torch.Tensor) -> torch.Tensor:
        return self.columns.T @ vector


def test_what_would_exceed_memory_is_a_sentence() -> None:
    p = problem()
    layers = tuple(Layer(layer.name, layer.weight, Elsewhere(layer.gradients)) for layer in p.layers)
    room, tight = (Problem(layers, 0.1, memory_bytes=size) for size in (14 * 5 * 4, 14 * 5 * 4 - 1))
    everything = torch.arange(14)
    assert torch.equal(room.together(), p.together())
    assert torch.equal(room.restrict(everything).columns, p.restrict(everything).columns)
    for gather in (tight.together, lambda: tight.restrict(everything)):
        with pytest.raises(PruningError, match=r"holds the gradients of 14 weights in memory at once.*chita_bso"):
            gather()
    assert Problem(p.layers, 0.1, memory_bytes=1).together().shape == (14, 5), "what is in memory anyway is free"
