"""The last state of a training run on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from chita_edge.storage.sealed import seal, unseal

_KEY = "checkpoint"


@dataclass(frozen=True)
class Checkpoint:
    """Tensors and numbers of a training run in one sealed file.

    Attributes:
        path: of the file; its folder exists.
        fingerprint: of all that the run's result depends on; a file with another one is refused.
    """

    path: Path
    fingerprint: str

    def write(self, tensors: Mapping[str, torch.Tensor], numbers: Mapping[str, float]) -> None:
        """Replace the file in one step. Raises ScratchSpaceError when the disk is full; the old file then stays."""
        seal(self.path, tensors, self.fingerprint, _KEY, numbers)

    def read(self) -> tuple[dict[str, torch.Tensor], dict[str, float]] | None:
        """Content of the file; None if there is none. Raises StateError for a damaged file or another run's."""
        return unseal(self.path, self.fingerprint, _KEY) if self.path.exists() else None
