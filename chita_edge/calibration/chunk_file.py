"""A chunk of gradients as a file of its own: whole and checked, or not there.

The file is an ordinary safetensors file with one tensor, "gradients" (p, count), written piece by piece because it need
not fit into memory; its metadata hold a fingerprint of what it was computed from and a checksum of the data.
"""

from __future__ import annotations

import json
import os
import zlib
from typing import TYPE_CHECKING, Self

import torch

from chita_edge.calibration.errors import ScratchSpaceError, StateError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

HEADER_BYTES = 4096
_NAMES = {torch.float32: "F32", torch.bfloat16: "BF16"}
_PIECE = 16 << 20


class ChunkWriter:
    """Writes a chunk front to back under another name, which becomes ``path`` when all of it is on the disk.

    A context manager; leaving it by an exception removes what was written.

    Args:
        path: of the finished file.
        shape: (p, count).
        dtype: float32 or bfloat16.
        fingerprint: of what the gradients are computed from.
    """

    def __init__(self, path: Path, shape: tuple[int, int], dtype: torch.dtype, fingerprint: str) -> None:
        self._path, self._partial = path, path.with_suffix(".part")
        self._shape, self._dtype, self._fingerprint = shape, dtype, fingerprint
        self._checksum = 0

    def __enter__(self) -> Self:
        try:
            self._file = self._partial.open("wb", buffering=0)
            self._file.write(bytes(HEADER_BYTES))
        except OSError as error:
            raise full(self._partial.parent, error) from error
        return self

    def write(self, rows: torch.Tensor) -> None:
        """Append coordinates, (m, count)."""
        data = rows.to(self._dtype).contiguous().view(-1).view(torch.uint8).numpy().data
        self._checksum = zlib.crc32(data, self._checksum)
        try:
            write_all(self._file.fileno(), data)
        except OSError as error:
            raise full(self._partial.parent, error) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                os.pwrite(self._file.fileno(), _header(self._shape, self._dtype, self._fingerprint, self._checksum), 0)
                os.fsync(self._file.fileno())
                self._partial.rename(self._path)
        except OSError as failure:
            raise full(self._partial.parent, failure) from failure
        finally:
            self._file.close()
            self._partial.unlink(missing_ok=True)


def check_chunk(path: Path, shape: tuple[int, int], dtype: torch.dtype, fingerprint: str) -> None:
    """Refuse a chunk that is not exactly the one that is expected, reading all of it.

    Raises:
        StateError: the file is truncated, altered, of another kind or of another run; the message says which.
    """
    remedy = "Remove that file to have its gradients computed again, or name another state folder."
    size = HEADER_BYTES + shape[0] * shape[1] * dtype.itemsize
    try:
        with path.open("rb") as file:
            header = file.read(HEADER_BYTES)
            if os.fstat(file.fileno()).st_size != size:
                raise StateError(f"{path} is not {size} bytes long, as its gradients would be. {remedy}")
            checksum = 0
            while piece := file.read(_PIECE):
                checksum = zlib.crc32(piece, checksum)
    except OSError as error:
        raise StateError(f"{path} cannot be read: {error.strerror}.") from error
    if header != _header(shape, dtype, fingerprint, checksum):
        raise StateError(
            f"{path} is damaged or holds the gradients of another network, other images or another configuration. "
            f"{remedy}"
        )


def write_all(descriptor: int, data: memoryview) -> None:
    """Write all of ``data`` where the file stands."""
    while data:
        data = data[os.write(descriptor, data) :]


def full(folder: Path | str, error: OSError) -> ScratchSpaceError:
    """The sentence for gradients that cannot be written."""
    return ScratchSpaceError(
        f"The folder {folder} cannot hold the gradients ({error.strerror}). Free disk space, name another folder, or "
        "use fewer calibration samples."
    )


def _header(shape: tuple[int, int], dtype: torch.dtype, fingerprint: str, checksum: int) -> bytes:
    size = shape[0] * shape[1] * dtype.itemsize
    content = {
        "__metadata__": {"fingerprint": fingerprint, "crc32": f"{checksum:08x}"},
        "gradients": {"dtype": _NAMES[dtype], "shape": list(shape), "data_offsets": [0, size]},
    }
    text = json.dumps(content, separators=(",", ":")).encode()
    return (HEADER_BYTES - 8).to_bytes(8, "little") + text.ljust(HEADER_BYTES - 8)
