"""Sinks for per-sample gradients, batch by batch: memory, an anonymous file, or a folder."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch

from chita_edge.calibration.errors import ScratchSpaceError
from chita_edge.calibration.gradient_matrix import GradientMatrix
from chita_edge.calibration.stored_columns import Chunk, Descriptor, GradientStore, StoredColumns
from chita_edge.storage.sealed import HEADER_BYTES, check_sealed, sealing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    Write = Callable[[str, torch.Tensor], None]


class GradientSink(Protocol):
    """Takes the batches in order; within a batch the layers in order."""

    def holds(self, number: int) -> bool:
        """Whether this batch need not be computed."""

    def batch(self, number: int) -> AbstractContextManager[Write]:
        """A function that takes each layer's name and its gradients (count, p_l), in order."""

    def finish(self) -> GradientMatrix:
        """The matrix of all batches."""


class MemorySink:
    """Keeps the matrix in memory.

    Args:
        sizes: number of weights of each layer, in order.
        batches: the samples, that is rows of A, of each batch; they cover all, in order.
    """

    def __init__(self, sizes: Mapping[str, int], batches: Sequence[slice]) -> None:
        self._batches = batches
        self._blocks = {name: torch.empty(size, batches[-1].stop) for name, size in sizes.items()}

    def holds(self, number: int) -> bool:
        """Nothing is known before it is computed."""
        del number
        return False

    @contextmanager
    def batch(self, number: int) -> Iterator[Write]:
        """Fill columns of the blocks."""

        def write(name: str, gradients: torch.Tensor) -> None:
            self._blocks[name][:, self._batches[number]] = gradients.T

        yield write

    def finish(self) -> GradientMatrix:
        """The blocks as they are."""
        return GradientMatrix(self._blocks, on_disk=False)


class AnonymousSink:
    """Appends the batches to one file without a name, of which nothing stays behind after success, failure or a kill.

    It is written with ``write``, not through a mapping: a full disk is then an exception and not a fatal signal.

    Args:
        sizes: as above.
        batches: as above.
        folder: where the file is; the system's temporary folder when None.
        dtype: of the numbers on disk.

    Raises:
        ScratchSpaceError: the folder cannot be written, or has not enough free space.
    """

    def __init__(
        self, sizes: Mapping[str, int], batches: Sequence[slice], folder: Path | None, dtype: torch.dtype
    ) -> None:
        self._sizes, self._batches, self._dtype = sizes, batches, dtype
        self._folder = folder or Path(tempfile.gettempdir())
        check_space(self._folder, sum(sizes.values()) * batches[-1].stop * dtype.itemsize)
        try:
            with tempfile.TemporaryFile(dir=folder, prefix="chita-edge-") as file:
                self._file = Descriptor(os.dup(file.fileno()))
        except OSError as error:
            raise unusable(self._folder, error) from error

    def holds(self, number: int) -> bool:
        """Nothing is known before it is computed."""
        del number
        return False

    @contextmanager
    def batch(self, number: int) -> Iterator[Write]:
        """Append (p_l, count) behind what is there."""
        del number

        def write(name: str, gradients: torch.Tensor) -> None:
            del name
            data = gradients.T.to(self._dtype).contiguous().view(-1).view(torch.uint8).numpy().data
            try:
                while data:
                    data = data[os.write(self._file.number, data) :]
            except OSError as error:
                raise _full(self._folder, error) from error

        yield write

    def finish(self) -> GradientMatrix:
        """Columns that read the file; it is gone when the last of them is."""
        p = sum(self._sizes.values()) * self._dtype.itemsize
        chunks = [Chunk(self._file, b.start * p, b.start, b.stop - b.start) for b in self._batches]
        return _matrix(self._sizes, GradientStore(chunks, self._dtype))


class FolderSink:
    """One file a batch in a folder; the whole ones that are there already are taken over.

    Args:
        sizes: as above.
        batches: as above.
        folder: made if need be.
        dtype: of the numbers on disk.
        fingerprint: of all that the gradients depend on.

    Raises:
        ScratchSpaceError: the folder cannot be written, or has not enough free space.
        StateError: a file of the folder is damaged or of another computation.
    """

    def __init__(
        self, sizes: Mapping[str, int], batches: Sequence[slice], folder: Path, dtype: torch.dtype, fingerprint: str
    ) -> None:
        self._sizes, self._batches, self._folder = sizes, batches, folder
        self._dtype, self._fingerprint = dtype, fingerprint
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unusable(folder, error) from error
        self._held = [self._path(number).exists() for number in range(len(batches))]
        missing = sum(b.stop - b.start for b, held in zip(batches, self._held, strict=True) if not held)
        check_space(folder, sum(sizes.values()) * missing * dtype.itemsize + HEADER_BYTES * len(batches))

    def holds(self, number: int) -> bool:
        """Whether the batch's file is there; it is checked then."""
        if self._held[number]:
            check_sealed(self._path(number), self._layout(number), self._fingerprint, f"batch {number}")
        return self._held[number]

    @contextmanager
    def batch(self, number: int) -> Iterator[Write]:
        """Write the batch's file; it appears when it is whole."""
        with sealing(self._path(number), self._layout(number), self._fingerprint, f"batch {number}") as append:

            def write(name: str, gradients: torch.Tensor) -> None:
                del name
                append(gradients.T.to(self._dtype))

            yield write

    def finish(self) -> GradientMatrix:
        """Columns that read the files."""
        chunks = [
            Chunk(self._path(number), HEADER_BYTES, batch.start, batch.stop - batch.start)
            for number, batch in enumerate(self._batches)
        ]
        return _matrix(self._sizes, GradientStore(chunks, self._dtype))

    def _path(self, number: int) -> Path:
        return self._folder / f"batch-{number:05}.safetensors"

    def _layout(self, number: int) -> dict[str, tuple[torch.dtype, tuple[int, int]]]:
        """All coordinates of the batch's samples, (p, count)."""
        count = self._batches[number].stop - self._batches[number].start
        return {"gradients": (self._dtype, (sum(self._sizes.values()), count))}


def check_space(folder: Path, needed: int) -> None:
    """Raise when a folder has no room for ``needed`` bytes; called before it is filled.

    Raises:
        ScratchSpaceError: it is not there, or too full.
    """
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise unusable(folder, error) from error
    if free < needed:
        raise ScratchSpaceError(
            f"The gradients need {needed / 1e9:.1f} GB, and the folder {folder} has {free / 1e9:.1f} GB free. Free "
            "disk space, name another folder, use fewer calibration samples, or average several into one row."
        )


def unusable(folder: Path, error: OSError) -> ScratchSpaceError:
    """The sentence for a folder that cannot be used."""
    return ScratchSpaceError(
        f"The gradients exceed the memory budget, and no file can be made in the scratch folder {folder}: "
        f"{error.strerror}. Name a writable one or raise the memory budget."
    )


def _full(folder: Path, error: OSError) -> ScratchSpaceError:
    return ScratchSpaceError(
        f"The folder {folder} cannot hold the gradients ({error.strerror}). Free disk space, name another folder, or "
        "use fewer calibration samples."
    )


def _matrix(sizes: Mapping[str, int], store: GradientStore) -> GradientMatrix:
    bounds = pairwise(accumulate(sizes.values(), initial=0))
    return GradientMatrix(
        {name: StoredColumns(store, *where) for name, where in zip(sizes, bounds, strict=True)}, on_disk=True
    )
