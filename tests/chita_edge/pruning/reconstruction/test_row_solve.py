from __future__ import annotations

import pytest
import torch

from chita_edge.pruning.reconstruction import LayerFit, RowSystems, row_solve, solve_rows

EACH_ITS_OWN = torch.rand(7, 12, generator=torch.Generator().manual_seed(1)) < 0.5


def fit(out: int = 7, size: int = 12, positions: int = 40, ridge: float = 1e-2) -> LayerFit:
    rng = torch.Generator().manual_seed(0)
    x, dense_x = torch.randn(size, positions, generator=rng), torch.randn(size, positions, generator=rng)
    return LayerFit(torch.randn(out, size, generator=rng), x @ x.T / positions, dense_x @ x.T / positions, ridge)


@pytest.mark.parametrize("elements", [1, 300, 1 << 24])
def test_equals_one_explicit_inverse_a_row(elements: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_solve, "_BATCH_ELEMENTS", elements)
    layer = fit()
    mask = torch.rand(7, 12, generator=torch.Generator().manual_seed(1)) < 0.5
    mask[2], mask[3] = False, True
    found = solve_rows(layer, mask)
    assert not found[~mask].any()
    for row in range(7):
        chosen = mask[row]
        hessian = layer.hessian.double()[chosen][:, chosen]
        exact = torch.linalg.inv(hessian) @ layer.target.double()[row, chosen]
        # Cholesky in float32 errs by some units in the last place times the condition (Higham, theorem 10.4).
        bound = int(chosen.sum()) * 2.0**-24 * float(torch.linalg.cond(hessian)) if chosen.any() else 0.0
        assert float((found[row, chosen].double() - exact).norm()) <= bound * float(exact.norm())


def test_is_the_minimum() -> None:
    layer = fit()
    mask = torch.rand(7, 12, generator=torch.Generator().manual_seed(1)) < 0.5
    found = solve_rows(layer, mask)
    for seed in range(5):
        moved = found + 0.01 * torch.randn(7, 12, generator=torch.Generator().manual_seed(seed)) * mask
        assert layer.objective(moved) > layer.objective(found)


def test_inputs_that_are_always_zero_are_no_obstacle() -> None:
    layer = fit(positions=3, ridge=0.0)
    layer.gram[0], layer.gram[:, 0], layer.cross[0], layer.cross[:, 0] = 0, 0, 0, 0
    assert solve_rows(layer, torch.ones(7, 12, dtype=torch.bool)).isfinite().all()


@pytest.mark.parametrize("most", [0, 1 << 27])
@pytest.mark.parametrize("mask", [EACH_ITS_OWN, EACH_ITS_OWN[:1].expand(7, 12)])
def test_factors_serve_any_number_of_right_sides(
    most: int, mask: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_solve, "_MOST_KEPT", most)
    layer = fit()
    systems = RowSystems(layer.hessian, mask)
    for factor in (1.0, -3.0):
        found = systems.solve(factor * layer.target)
        assert not found[~mask].any()
        for row in range(7):
            chosen = mask[row]
            exact = torch.linalg.solve(layer.hessian.double()[chosen][:, chosen], layer.target.double()[row, chosen])
            torch.testing.assert_close(found[row, chosen].double(), factor * exact, rtol=1e-3, atol=1e-4)


def test_a_system_without_a_cholesky_factor_is_solved_all_the_same() -> None:
    hessian = torch.diag(torch.tensor([1.0, -2.0, 4.0]))  # as rounding can leave it
    mask = torch.tensor([[True, True, False], [True, True, True]])
    found = RowSystems(hessian, mask).solve(torch.ones(2, 3))
    torch.testing.assert_close(found, torch.tensor([[1.0, -0.5, 0.0], [1.0, -0.5, 0.25]]))
