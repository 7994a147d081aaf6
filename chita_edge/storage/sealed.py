"""Tensors on disk, whole or not there, that say which computation they belong to.

A sealed file is an ordinary safetensors file. Its metadata hold a fingerprint of all that the tensors were computed
from, a key (which part of that computation they are), plain numbers, and a CRC-32 over all other bytes of the file. The
header is written in one way only, so that a reader can compare it byte by byte, and is padded to 4,096 bytes.
"""

from __future__ import annotations

import json
import math
import os
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from chita_edge.storage.atomic_file import whole_file
from chita_edge.storage.errors import ScratchSpaceError, StateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    Layout = Mapping[str, tuple[torch.dtype, tuple[int, ...]]]
    Numbers = Mapping[str, float]

HEADER_BYTES = 4096
_FORMAT = "chita-edge sealed 1"
_LARGEST_HEADER = 1 << 24
_PIECE = 16 << 20
_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_DTYPES = {name: dtype for dtype, name in _NAMES.items()}


@contextmanager
def sealing(
    path: Path, layout: Layout, fingerprint: str, key: str, numbers: Numbers | None = None
) -> Iterator[Callable[[torch.Tensor], None]]:
    """Give a function that appends tensors, or rows of them, in the order of the layout; the file appears at the end.

    What need not fit into memory is written piece by piece so.

    Args:
        path: of the finished file; one that is there is replaced.
        layout: type and shape of each tensor.
        fingerprint: of what the tensors are computed from.
        key: which part of the computation they are.
        numbers: plain values beside them.

    Raises:
        ScratchSpaceError: the disk is full, or the folder cannot be written; nothing is left behind then.
    """
    blank = _header(layout, fingerprint, key, numbers or {}, 0)
    state = {"checksum": zlib.crc32(blank)}
    try:
        with whole_file(path) as file:
            file.write(bytes(len(blank)))

            def write(rows: torch.Tensor) -> None:
                data = _bytes(rows)
                state["checksum"] = zlib.crc32(data, state["checksum"])
                file.write(data)

            yield write
            file.seek(0)
            file.write(_header(layout, fingerprint, key, numbers or {}, state["checksum"]))
    except OSError as error:
        raise ScratchSpaceError(
            f"{path} cannot be written ({error.strerror}). Free disk space, or name another folder, and run the same "
            "again; it goes on from here."
        ) from error


def seal(
    path: Path, tensors: Mapping[str, torch.Tensor], fingerprint: str, key: str, numbers: Numbers | None = None
) -> None:
    """Write tensors as a sealed file; see `sealing`."""
    # The widest types first, so that each tensor begins at a multiple of its own width.
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0]))
    layout = {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in ordered}
    with sealing(path, layout, fingerprint, key, numbers) as write:
        for _, tensor in ordered:
            write(tensor.detach())


def unseal(path: Path, fingerprint: str, key: str) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """The tensors and numbers of a sealed file.

    Raises:
        StateError: the file is truncated, altered, or of another computation or part; the message names it.
    """
    with _opened(path) as file:
        layout, numbers, header = _read_header(path, file, fingerprint, key)
        data = bytearray(file.read())
        if zlib.crc32(data, zlib.crc32(_header(layout, fingerprint, key, numbers, 0))) != _checksum_of(header):
            raise _damaged(path)
    tensors, start = {}, 0
    for name, (dtype, shape) in layout.items():
        size = math.prod(shape) * dtype.itemsize
        part = torch.frombuffer(data, dtype=torch.uint8, count=size, offset=start) if size else torch.empty(0).byte()
        tensors[name] = part.clone().view(dtype).view(shape)
        start += size
    return tensors, numbers


def check_sealed(path: Path, layout: Layout, fingerprint: str, key: str) -> None:
    """Refuse a file that is not the sealed one that is expected; reads all of it, a piece at a time.

    Raises:
        StateError: as `unseal`.
    """
    with _opened(path) as file:
        found, numbers, header = _read_header(path, file, fingerprint, key)
        checksum = zlib.crc32(_header(found, fingerprint, key, numbers, 0))
        while piece := file.read(_PIECE):
            checksum = zlib.crc32(piece, checksum)
    if checksum != _checksum_of(header) or dict(found) != dict(layout):
        raise _damaged(path)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise StateError(f"{path} cannot be read: {error.strerror}.") from error


def _read_header(path: Path, file: Any, fingerprint: str, key: str) -> tuple[dict[str, Any], dict[str, float], bytes]:
    """Layout, numbers and header; the header is the one that this layout has, and the file is as long as it says."""
    size = int.from_bytes(file.read(8), "little")
    if size + 8 > min(_LARGEST_HEADER, os.fstat(file.fileno()).st_size):
        raise _damaged(path)
    header = size.to_bytes(8, "little") + file.read(size)
    try:
        content = json.loads(header[8:])
        metadata = content.pop("__metadata__")
        layout = {name: (_DTYPES[entry["dtype"]], tuple(entry["shape"])) for name, entry in content.items()}
        numbers = json.loads(metadata["numbers"])
        same = header == _header(layout, metadata["fingerprint"], metadata["key"], numbers, int(metadata["crc32"], 16))
        length = len(header) + sum(math.prod(shape) * dtype.itemsize for dtype, shape in layout.values())
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise _damaged(path) from None
    if metadata["fingerprint"] != fingerprint or metadata["key"] != key:
        raise StateError(
            f"{path} belongs to another network, other images or other options. Remove that file to have it computed "
            "again, or name another folder."
        )
    if not same or length != os.fstat(file.fileno()).st_size:
        raise _damaged(path)
    return layout, numbers, header


def _header(layout: Layout, fingerprint: str, key: str, numbers: Numbers, checksum: int) -> bytes:
    content: dict[str, Any] = {
        "__metadata__": {
            "format": _FORMAT,
            "fingerprint": fingerprint,
            "key": key,
            "numbers": json.dumps(dict(numbers), sort_keys=True),
            "crc32": f"{checksum:08x}",
        }
    }
    start = 0
    for name, (dtype, shape) in layout.items():
        stop = start + math.prod(shape) * dtype.itemsize
        content[name] = {"dtype": _NAMES[dtype], "shape": list(shape), "data_offsets": [start, stop]}
        start = stop
    text = json.dumps(content, separators=(",", ":")).encode()
    size = -(-(len(text) + 8) // HEADER_BYTES) * HEADER_BYTES - 8
    return size.to_bytes(8, "little") + text.ljust(size)


def _checksum_of(header: bytes) -> int:
    return int(json.loads(header[8:])["__metadata__"]["crc32"], 16)


def _bytes(tensor: torch.Tensor) -> memoryview:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data


def _damaged(path: Path) -> StateError:
    return StateError(
        f"{path} is damaged. Remove that file to have it computed again, or name another folder to start anew."
    )
