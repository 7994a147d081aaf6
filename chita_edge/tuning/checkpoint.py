"""The last state of a training run on disk: whole or not there, and known by what it was made from."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from chita_edge.errors import ChitaEdgeError

_FORMAT = "chita-edge distillation 1"


class CheckpointError(ChitaEdgeError):
    """A checkpoint cannot be read or written, or belongs to another run."""


@dataclass(frozen=True)
class Checkpoint:
    """Tensors and numbers of a training run in one safetensors file.

    Attributes:
        path: of the file; its folder exists.
        fingerprint: of all that the run's result depends on; a file with another one is refused.
    """

    path: Path
    fingerprint: str

    def write(self, tensors: Mapping[str, torch.Tensor], numbers: Mapping[str, float]) -> None:
        """Replace the file in one step. Raises CheckpointError when the disk is full; the old file then stays."""
        held = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
        told = json.dumps(dict(numbers), sort_keys=True)
        metadata = {
            "format": _FORMAT,
            "fingerprint": self.fingerprint,
            "numbers": told,
            "crc32": _checksum(held, told),
        }
        partial = self.path.with_name(f"{self.path.name}.part")
        try:
            with partial.open("wb") as file:
                file.write(save(held, metadata))
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.path)
        except OSError as error:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise CheckpointError(
                f"The checkpoint {self.path} cannot be written ({error.strerror}). Free disk space and run the same "
                "command again; it goes on from the checkpoint before."
            ) from error

    def read(self) -> tuple[dict[str, torch.Tensor], dict[str, float]] | None:
        """What was last written, None if nothing was. Raises CheckpointError for a damaged file or another run's."""
        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, "pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        except (SafetensorError, OSError, ValueError) as error:
            raise CheckpointError(
                f"The checkpoint {self.path} is damaged ({error}). Remove it to start anew."
            ) from None
        if metadata.get("format") != _FORMAT or metadata.get("fingerprint") != self.fingerprint:
            raise CheckpointError(
                f"The checkpoint {self.path} belongs to another network, other images or other options. Remove it to "
                "start anew, or name another folder."
            )
        told = metadata.get("numbers", "")
        if metadata.get("crc32") != _checksum(tensors, told):
            raise CheckpointError(f"The checkpoint {self.path} is damaged. Remove it to start anew.")
        return tensors, json.loads(told)


def _checksum(tensors: Mapping[str, torch.Tensor], numbers: str) -> str:
    total = zlib.crc32(numbers.encode())
    for name in sorted(tensors):
        total = zlib.crc32(name.encode(), total)
        total = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, total)
    return f"{total:08x}"
