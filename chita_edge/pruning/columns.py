"""The matrix of gradients as solvers see it: held in memory, read from disk, or spread over machines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Results = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Work:
    """A piece of work on neighbouring coordinates, done by any process.

    Attributes:
        first: the first coordinate.
        last: the last one plus one.
        run: from their columns, float32 (last − first, n), to named tensors; depends on nothing else, and can be
            pickled; holds no views of larger tensors, which would be sent as a whole.
    """

    first: int
    last: int
    run: Callable[[torch.Tensor], Results]


class Columns(Protocol):
    """Aᵀ of some coordinates, (m, n), that is not held in memory as a whole.

    Rows are coordinates. A `torch.Tensor` can stand wherever a `Columns` can; the functions of this module take both,
    and both can be sliced by coordinates and gathered from.
    """

    @property
    def shape(self) -> torch.Size:
        """(m, n)."""

    def __getitem__(self, rows: slice) -> torch.Tensor:
        """Neighbouring coordinates, float32 (rows, n). Cheap when asked for in ascending order."""

    def index_select(self, dim: int, index: torch.Tensor) -> torch.Tensor:
        """Coordinates ``index`` (ascending) of dimension 0, float32 (len(index), n)."""

    def times(self, vector: torch.Tensor) -> torch.Tensor:
        """A v, (n,), for v (m,)."""

    def transposed_times(self, vector: torch.Tensor) -> torch.Tensor:
        """Aᵀ v, (m,), for v (n,)."""

    def squared_norms(self) -> torch.Tensor:
        """The diagonal of AᵀA, (m,)."""

    def gram(self, first: int, last: int) -> torch.Tensor:
        """AᵀA of the coordinates ``first`` to ``last``, (last − first, last − first)."""

    def each(self, works: Iterable[Work]) -> Iterator[Results]:
        """Results of ``works``, in ascending order of their coordinates."""


def times(columns: torch.Tensor | Columns, vector: torch.Tensor) -> torch.Tensor:
    """A v, (n,)."""
    if isinstance(columns, torch.Tensor):
        return torch.mv(columns.T, vector)
    return columns.times(vector)


def transposed_times(columns: torch.Tensor | Columns, vector: torch.Tensor) -> torch.Tensor:
    """Aᵀ v, (m,)."""
    if isinstance(columns, torch.Tensor):
        return torch.mv(columns, vector)
    return columns.transposed_times(vector)


def squared_norms(columns: torch.Tensor | Columns) -> torch.Tensor:
    """The diagonal of AᵀA, (m,)."""
    if isinstance(columns, torch.Tensor):
        return columns.square().sum(1)
    return columns.squared_norms()


def gram(columns: torch.Tensor | Columns, first: int, last: int) -> torch.Tensor:
    """AᵀA of neighbouring coordinates, (last − first, last − first)."""
    if isinstance(columns, torch.Tensor):
        part = columns[first:last]
        return part @ part.T
    return columns.gram(first, last)


def each(columns: torch.Tensor | Columns, works: Iterable[Work]) -> Iterator[Results]:
    """Results of ``works``, in ascending order of their coordinates."""
    if isinstance(columns, torch.Tensor):
        return (work.run(columns[work.first : work.last]) for work in works)
    return columns.each(works)
