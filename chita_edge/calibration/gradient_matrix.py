"""The matrix of per-sample gradients, one block of coordinates a layer, in memory or in anonymous files."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from chita_edge.calibration.errors import ScratchSpaceError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class GradientMatrix:
    """Per-sample gradients Aᵀ, cut into layers.

    ``blocks[name]`` is float32 (p_l, n): row j holds the derivative of each of the n samples' losses by weight j of the
    layer, weights in the order of ``weight.flatten()``. A coordinate is thus contiguous, and a subset of coordinates is
    a gather of rows. The papers' A (n × p) is the transpose of all blocks stacked.
    """

    blocks: dict[str, torch.Tensor]
    on_disk: bool

    @property
    def samples(self) -> int:
        """n, the rows of A."""
        return next(iter(self.blocks.values())).shape[1]

    @property
    def size(self) -> int:
        """p, the number of coordinates over all layers."""
        return sum(block.shape[0] for block in self.blocks.values())


class ScratchFile:
    """An anonymous file that is written once from front to back, then mapped.

    It has no name in the file system, so that nothing stays behind after success, failure, Ctrl-C or a kill. It is
    written with ``write``, not through the mapping: a full disk is then an exception and not a fatal signal.
    """

    def __init__(self, folder: Path | None) -> None:
        try:
            # Unbuffered, so that no write is left for `close` to fail at.
            self._file = tempfile.TemporaryFile(dir=folder, prefix="chita-edge-", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise ScratchSpaceError(
                "The gradients exceed the memory budget, and no scratch file can be made in the scratch folder "
                f"{folder or tempfile.gettempdir()}: {error.strerror}. Name a writable one or raise the memory budget."
            ) from error

    def append(self, rows: torch.Tensor) -> None:
        """Write contiguous float32 rows behind what is there."""
        unwritten = rows.contiguous().view(-1).view(torch.uint8).numpy().data
        try:
            while unwritten:
                unwritten = unwritten[self._file.write(unwritten) :]
        except OSError as error:
            raise ScratchSpaceError(
                f"The scratch folder cannot hold the gradients ({error.strerror}). Free disk space, name another "
                "scratch folder, or use fewer calibration samples."
            ) from error

    def map(self, rows: int, columns: int) -> torch.Tensor:
        """The file as a float32 (rows, columns) tensor that the operating system pages in as it is read."""
        mapped = np.memmap(self._file, dtype=np.float32, mode="r+", shape=(rows, columns))
        return torch.from_numpy(mapped)

    def close(self) -> None:
        """Let go of the file; a mapping made before stays valid."""
        self._file.close()
