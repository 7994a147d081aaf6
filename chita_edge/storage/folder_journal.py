"""Finished parts of a computation, one sealed file each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from chita_edge.storage.sealed import seal, unseal

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch


@dataclass(frozen=True)
class FolderJournal:
    """A `chita_edge.pruning.journal.Journal` that keeps what it is told in a folder.

    Attributes:
        folder: must exist.
        fingerprint: of what the results depend on; a file with another one is refused.
        prefix: put before every key.
    """

    folder: Path
    fingerprint: str
    prefix: str = ""

    def under(self, prefix: str) -> FolderJournal:
        """Journal under a prefix, for a part with parts of its own."""
        return FolderJournal(self.folder, self.fingerprint, f"{self.prefix}{prefix}/")

    def remember(self, key: str, compute: Callable[[], dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        """The tensors kept under ``key``; computed and kept when there are none.

        Raises:
            StateError: the file is damaged or of another computation.
            ScratchSpaceError: the folder is full.
        """
        path = self._path(key)
        if not path.exists():
            seal(path, compute(), self.fingerprint, self.prefix + key)
        return unseal(path, self.fingerprint, self.prefix + key)[0]

    def knows(self, key: str) -> bool:
        """Whether there is something under ``key``."""
        return self._path(key).exists()

    def _path(self, key: str) -> Path:
        return self.folder / f"{quote(self.prefix + key, safe='')}.safetensors"
