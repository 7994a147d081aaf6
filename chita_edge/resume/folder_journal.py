"""Finished parts of a computation, one safetensors file each."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from chita_edge.calibration import ScratchSpaceError, StateError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True)
class FolderJournal:
    """A `chita_edge.pruning.journal.Journal` that keeps what it is told in a folder.

    A file appears under its name only when all of it is on the disk.

    Attributes:
        folder: must exist.
        fingerprint: of what the results depend on; a file with another one is refused.
        prefix: put before every key.
    """

    folder: Path
    fingerprint: str
    prefix: str = ""

    def under(self, prefix: str) -> FolderJournal:
        """The same journal for a part with parts of its own."""
        return FolderJournal(self.folder, self.fingerprint, f"{self.prefix}{prefix}/")

    def remember(self, key: str, compute: Callable[[], dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        """The tensors kept under ``key``; computed and kept when there are none.

        Raises:
            StateError: the file is damaged or of another computation.
            ScratchSpaceError: the folder is full.
        """
        path = self._path(key)
        if path.exists():
            return self._read(path)
        result = {name: tensor.contiguous() for name, tensor in compute().items()}
        metadata = {"fingerprint": self.fingerprint, "key": self.prefix + key, "crc32": _checksum(result)}
        partial = path.with_suffix(".part")
        try:
            with partial.open("wb") as file:
                file.write(save(result, metadata))
                file.flush()
                os.fsync(file.fileno())
            partial.rename(path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise ScratchSpaceError(
                f"The state folder cannot hold {path.name} ({error.strerror}). Free disk space and run the same "
                "command again; it goes on from here."
            ) from error
        return result

    def knows(self, key: str) -> bool:
        """Whether there is something under ``key``."""
        return self._path(key).exists()

    def _path(self, key: str) -> Path:
        return self.folder / f"{quote(self.prefix + key, safe='')}.safetensors"

    def _read(self, path: Path) -> dict[str, torch.Tensor]:
        try:
            with safe_open(path, "pt") as file:
                metadata: Mapping[str, str] = file.metadata() or {}
                result = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        except (SafetensorError, OSError, ValueError) as error:
            raise StateError(f"{path} is damaged ({error}). Remove that file to have it computed again.") from error
        expected = {"fingerprint": self.fingerprint, "crc32": _checksum(result)}
        if {name: metadata.get(name) for name in expected} != expected or quote(
            metadata.get("key", ""), safe=""
        ) != path.stem:
            raise StateError(
                f"{path} is damaged or belongs to another network, other images or another configuration. Remove that "
                "file to have it computed again, or name another state folder."
            )
        return result


def _checksum(tensors: Mapping[str, torch.Tensor]) -> str:
    total = 0
    for name in sorted(tensors):
        total = zlib.crc32(name.encode(), total)
        total = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, total)
    return f"{total:08x}"
