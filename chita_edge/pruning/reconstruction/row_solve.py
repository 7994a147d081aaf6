"""The exact minimum of a layer's least-squares problem on a fixed mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chita_edge.pruning.reconstruction.layer_fit import LayerFit

_BATCH_ELEMENTS = 1 << 24
_MOST_KEPT = 1 << 27  # elements of factors that are kept, 512 MiB


def solve_rows(fit: LayerFit, mask: torch.Tensor) -> torch.Tensor:
    """Minimise f over weights that are zero outside the mask: per output channel, H_SS w_S = G_S.

    Args:
        fit: the layer.
        mask: bool (out, K).

    Returns:
        float32 (out, K), zero outside the mask.
    """
    return RowSystems(fit.hessian, mask, keep=False).solve(fit.target)


class RowSystems:
    """H_SS of each output channel, which serves any number of right sides.

    Rows are sorted by the size of their support and solved in batches, padded with unit equations to the largest.
    Rows of one batch with the same support share a factor.

    Args:
        hessian: H, (K, K).
        mask: S, bool (out, K).
        keep: the factors, while they take at most 512 MiB; otherwise each `solve` makes them anew, to the same bits.
    """

    def __init__(self, hessian: torch.Tensor, mask: torch.Tensor, *, keep: bool = True) -> None:
        self._hessian, self._shape = hessian, mask.shape
        self._batches = list(_batches(mask))
        size = sum(len(batch.columns) * batch.columns.shape[1] ** 2 for batch in self._batches)
        self._factors: list[_Factors] | None = None
        if keep and size <= _MOST_KEPT:
            self._factors = [_Factors.of(hessian, batch) for batch in self._batches]

    def solve(self, target: torch.Tensor) -> torch.Tensor:
        """W with W_S H_SS = G_S in each row and zero outside, float32 (out, K), for G of the same shape."""
        weights = torch.zeros(self._shape)
        for number, batch in enumerate(self._batches):
            factors = self._factors[number] if self._factors else _Factors.of(self._hessian, batch)
            columns, inside = batch.columns[batch.system], batch.inside[batch.system]
            right = torch.where(inside, target[batch.rows].gather(1, columns), 0.0)
            found = factors.solve(self._hessian, batch, right)
            weights[batch.rows[:, None].expand_as(columns)[inside], columns[inside]] = found[inside]
        return weights


@dataclass(frozen=True)
class _Batch:
    """Rows of similar size.

    Attributes:
        rows: int64 (R,), of the layer.
        system: int64 (R,), which of the batch's systems each row solves.
        columns: int64 (systems, size), the support first and ascending.
        inside: bool (systems, size), which of the columns are the support's.
    """

    rows: torch.Tensor
    system: torch.Tensor
    columns: torch.Tensor
    inside: torch.Tensor


def _batches(mask: torch.Tensor) -> Iterator[_Batch]:
    counts = mask.sum(1)
    order = torch.argsort(counts, stable=True)
    order = order[counts[order] > 0]
    start = 0
    while start < len(order):
        stop = len(order)
        while (stop - start) * int(counts[order[stop - 1]]) ** 2 > _BATCH_ELEMENTS and stop > start + 1:
            stop = start + (stop - start + 1) // 2
        rows = order[start:stop]
        supports, system = torch.unique(mask[rows], dim=0, return_inverse=True)
        size = int(counts[rows[-1]])
        # A stable sort of the inverted mask puts the support first, in ascending order.
        columns = torch.argsort((~supports).to(torch.uint8), dim=1, stable=True)[:, :size]
        inside = torch.arange(size)[None] < supports.sum(1)[:, None]
        yield _Batch(rows, system, columns, inside)
        start = stop


@dataclass(frozen=True)
class _Factors:
    """Batched Cholesky in float32; of a batch where that fails, none."""

    lower: torch.Tensor | None

    @classmethod
    def of(cls, hessian: torch.Tensor, batch: _Batch) -> _Factors:
        lower, failed = torch.linalg.cholesky_ex(_systems(hessian, batch))
        return cls(None if bool(failed.any()) else lower)

    def solve(self, hessian: torch.Tensor, batch: _Batch, right: torch.Tensor) -> torch.Tensor:
        """One step of refinement behind the factors' answer; float64 where there are none. (R, size)."""
        systems, lower = _systems(hessian, batch), self.lower
        if len(systems) == 1:  # whole input channels are pruned: one system with many right sides
            right = right.mT[None]
        else:
            systems, lower = systems[batch.system], None if lower is None else lower[batch.system]
            right = right[:, :, None]
        if lower is None:
            found: torch.Tensor = torch.linalg.solve(systems.double(), right.double()).float()
        else:
            found = torch.cholesky_solve(right, lower)
            found += torch.cholesky_solve(right - systems @ found, lower)
        return found[0].mT if len(systems) == 1 else found[:, :, 0]


def _systems(hessian: torch.Tensor, batch: _Batch) -> torch.Tensor:
    """H_SS of each support, (systems, size, size)."""
    columns, inside = batch.columns, batch.inside
    system = hessian[columns[:, :, None], columns[:, None, :]]
    return torch.where(inside[:, :, None] & inside[:, None, :], system, torch.eye(columns.shape[1]))
