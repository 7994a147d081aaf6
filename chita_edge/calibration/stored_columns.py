"""Gradients on disk, read a window of coordinates at a time and never mapped, so that resident memory stays bounded."""

from __future__ import annotations

import os
import weakref
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from chita_edge.calibration.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from chita_edge.pruning.columns import Work

_WINDOW_BYTES = 128 << 20


class Descriptor:
    """An open file without a name, closed when nothing refers to it any more."""

    def __init__(self, number: int) -> None:
        self.number = number
        weakref.finalize(self, os.close, number)


@dataclass(frozen=True)
class Chunk:
    """The gradients of a few samples: all p coordinates, (p, count), contiguous.

    Attributes:
        file: an open file, or the path of one.
        offset: bytes before the first coordinate.
        first: number of the first sample.
        count: number of samples.
    """

    file: Descriptor | Path
    offset: int
    first: int
    count: int


class GradientStore:
    """Aᵀ (p, n) on disk in chunks of samples; coordinates are read as float32 (m, n).

    Chunks are how gradients come about, all coordinates of a few samples at a time, so that one pass over the images
    writes them, each byte once. A window of neighbouring coordinates is then one contiguous read a chunk.

    Args:
        chunks: cover all samples, in order.
        dtype: of the numbers on disk.
        window_bytes: how much is read ahead, and held in memory.
    """

    def __init__(self, chunks: list[Chunk], dtype: torch.dtype, window_bytes: int = _WINDOW_BYTES) -> None:
        self.chunks = chunks
        self.dtype = dtype
        self.samples = sum(chunk.count for chunk in chunks)
        self.window = max(1, window_bytes // (4 * self.samples))
        self._held: tuple[int, int, torch.Tensor] | None = None

    def read(self, first: int, last: int) -> torch.Tensor:
        """Coordinates ``first`` to ``last`` of the whole matrix, freshly read, float32 (last − first, n)."""
        rows = torch.empty(last - first, self.samples)
        for chunk in self.chunks:
            part = torch.empty(last - first, chunk.count, dtype=self.dtype)
            wanted = part.view(torch.uint8).numpy().reshape(-1).data
            with _opened(chunk.file) as file:
                at = chunk.offset + first * chunk.count * part.element_size()
                while wanted:
                    got = os.preadv(file, [wanted], at)
                    if not got:
                        raise StateError(f"The gradients in {_called(chunk.file)} end too early. Remove that file.")
                    wanted, at = wanted[got:], at + got
            rows[:, chunk.first : chunk.first + chunk.count] = part
        return rows

    def held(self, first: int, last: int) -> torch.Tensor:
        """A window of coordinates, cached until another window is requested."""
        if self._held is None or self._held[:2] != (first, last):
            self._held = None  # let go of the old window before the new one is read
            self._held = (first, last, self.read(first, last))
        return self._held[2]


class StoredColumns:
    """One layer of a `GradientStore`: a `chita_edge.pruning.columns.Columns`.

    Windows lie at fixed places in the layer, whatever was read before, so that the arithmetic that is done on them does
    not depend on where a killed run was resumed.

    Args:
        store: the whole matrix.
        start: the layer's first coordinate.
        stop: its last coordinate plus one.
    """

    def __init__(self, store: GradientStore, start: int, stop: int) -> None:
        self._store, self._start, self._size = store, start, stop - start
        self.shape = torch.Size((stop - start, store.samples))

    def __getitem__(self, rows: slice) -> torch.Tensor:
        """Neighbouring coordinates, float32 (rows, n)."""
        first, last, _ = rows.indices(self._size)
        last = max(first, last)
        edge = first // self._store.window * self._store.window
        if last <= edge + self._store.window:
            return self._window(edge)[first - edge : last - edge]
        return self._store.read(self._start + first, self._start + last)

    def index_select(self, dim: int, index: torch.Tensor) -> torch.Tensor:
        """Coordinates ``index`` (ascending), float32 (len(index), n); ``dim`` is 0."""
        assert dim == 0  # noqa: S101 (samples are not selected)
        rows = torch.empty(len(index), self._store.samples)
        for edge, size in self._windows():
            begin, end = torch.searchsorted(index, torch.tensor([edge, edge + size])).tolist()
            if begin < end:
                torch.index_select(self._window(edge), 0, index[begin:end] - edge, out=rows[begin:end])
        return rows

    def times(self, vector: torch.Tensor) -> torch.Tensor:
        """A v, (n,), for v (m,)."""
        product = torch.zeros(self._store.samples)
        for edge, size in self._windows():
            product += torch.mv(self._window(edge).T, vector[edge : edge + size])
        return product

    def transposed_times(self, vector: torch.Tensor) -> torch.Tensor:
        """Aᵀ v, (m,), for v (n,)."""
        return torch.cat([torch.mv(self._window(edge), vector) for edge, _ in self._windows()])

    def squared_norms(self) -> torch.Tensor:
        """The diagonal of AᵀA, (m,)."""
        return torch.cat([self._window(edge).square().sum(1) for edge, _ in self._windows()])

    def gram(self, first: int, last: int) -> torch.Tensor:
        """AᵀA of the coordinates ``first`` to ``last``."""
        part = self[first:last]
        return part @ part.T

    def each(self, works: Iterable[Work]) -> Iterator[dict[str, torch.Tensor]]:
        """Results of ``works``, in ascending order of their coordinates."""
        return (work.run(self[work.first : work.last]) for work in works)

    def _windows(self) -> Iterator[tuple[int, int]]:
        step = self._store.window
        return ((edge, min(step, self._size - edge)) for edge in range(0, self._size, step))

    def _window(self, edge: int) -> torch.Tensor:
        first = self._start + edge
        return self._store.held(first, min(first + self._store.window, self._start + self._size))


@contextmanager
def _opened(file: Descriptor | Path) -> Iterator[int]:
    if not isinstance(file, Path):
        yield file.number
        return
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except OSError as error:
        raise StateError(f"The gradients in {file} cannot be read: {error.strerror}.") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _called(file: Descriptor | Path) -> str:
    return str(file) if isinstance(file, Path) else "the scratch file"
