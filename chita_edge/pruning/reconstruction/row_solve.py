"""The exact minimum of a layer's least-squares problem on a fixed mask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from chita_edge.pruning.reconstruction.layer_fit import LayerFit

_BATCH_ELEMENTS = 1 << 24


def solve_rows(fit: LayerFit, mask: torch.Tensor) -> torch.Tensor:
    """Minimise f over weights that are zero outside the mask: per output channel, H_SS w_S = G_S.

    Rows are sorted by the size of their support and solved in batches, padded with unit equations to the largest.

    Args:
        fit: the layer.
        mask: bool (out, K).

    Returns:
        float32 (out, K), zero outside the mask.
    """
    hessian, target = fit.hessian, fit.target
    weights = torch.zeros_like(target)
    counts = mask.sum(1)
    order = torch.argsort(counts, stable=True)
    order = order[counts[order] > 0]
    start = 0
    while start < len(order):
        stop = len(order)
        while (stop - start) * int(counts[order[stop - 1]]) ** 2 > _BATCH_ELEMENTS and stop > start + 1:
            stop = start + (stop - start + 1) // 2
        rows = order[start:stop]
        size = int(counts[rows[-1]])
        # A stable sort of the inverted mask puts the support first, in ascending order.
        columns = torch.argsort((~mask[rows]).to(torch.uint8), dim=1, stable=True)[:, :size]
        inside = torch.arange(size)[None] < counts[rows][:, None]
        system = hessian[columns[:, :, None], columns[:, None, :]]
        system = torch.where(inside[:, :, None] & inside[:, None, :], system, torch.eye(size))
        right = torch.where(inside, target[rows].gather(1, columns), 0.0)
        found = _solve(system, right)
        weights[rows[:, None].expand_as(columns)[inside], columns[inside]] = found[inside]
        start = stop
    return weights


def _solve(systems: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Batched Cholesky in float32, in float64 where that fails; one step of refinement."""
    factors, failed = torch.linalg.cholesky_ex(systems)
    if bool(failed.any()):
        exact: torch.Tensor = torch.linalg.solve(systems.double(), right.double()[:, :, None])
        return exact[:, :, 0].float()
    found: torch.Tensor = torch.cholesky_solve(right[:, :, None], factors)
    found += torch.cholesky_solve(right[:, :, None] - systems @ found, factors)
    return found[:, :, 0]
