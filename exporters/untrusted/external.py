"""External data: read from regular files inside the model's folder only, as much as the tensors need."""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath

import onnx
from onnx import TensorProto

from exporters.errors import ExternalDataError, TooLargeError
from exporters.untrusted.tensors import all_tensors, tensor_bytes


def embed_external_data(model: onnx.ModelProto, folder: Path, limit: int) -> int:
    """Read every tensor's external data into the tensor; the bytes read in all.

    Raises ExternalDataError for places outside ``folder`` (absolute, ``..``, links), for what is no regular file and
    for files too short; TooLargeError beyond ``limit`` bytes.
    """
    total = 0
    for tensor in all_tensors(model):
        if tensor.data_location != TensorProto.EXTERNAL and not tensor.external_data:
            continue
        size = tensor_bytes(tensor)
        total += size
        if size < 0 or total > limit:
            raise TooLargeError(f"tensor {tensor.name!r} refers to more external data than is allowed.")
        data = _read(tensor, folder, size)
        del tensor.external_data[:]
        tensor.ClearField("data_location")
        tensor.raw_data = data
    return total


def _read(tensor: TensorProto, folder: Path, size: int) -> bytes:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = PurePosixPath(entries.get("location", ""))
    where = f"tensor {tensor.name!r} refers to {str(location)!r}"
    if not location.parts or location.is_absolute() or ".." in location.parts or "\\" in str(location):
        raise ExternalDataError(f"{where}, outside the model's folder; put the data beside the model.")
    offset, length = _number(entries, "offset", 0, where), _number(entries, "length", size, where)
    if length != size:
        raise ExternalDataError(f"{where} for {length} bytes, but its dimensions need {size}; export it again.")
    try:
        handle = _open_beneath(folder, location)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ExternalDataError(f"{where}, which is no plain file in the model's folder ({reason}).") from error
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        raise ExternalDataError(f"{where}, which is no regular file; put the data there.")
    with os.fdopen(handle, "rb") as file:
        if status.st_nlink != 1:
            raise ExternalDataError(f"{where}, which has another name elsewhere (a hard link); copy it instead.")
        if offset + size > status.st_size:
            raise ExternalDataError(
                f"{where}, which has {status.st_size} bytes and not {offset + size}; it is truncated."
            )
        file.seek(offset)
        data = file.read(size)
    if len(data) != size:
        raise ExternalDataError(f"{where}, which shrank while it was read.")
    return data


def _open_beneath(folder: Path, location: PurePosixPath) -> int:
    """Open folder/location one name at a time, following no link, so that nothing can be exchanged in between."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for index, part in enumerate(location.parts):
        last = index == len(location.parts) - 1
        try:
            child = os.open(part, flags if last else flags | os.O_DIRECTORY, dir_fd=handle)
        finally:
            os.close(handle)
        handle = child
    return handle


def _number(entries: dict[str, str], key: str, default: int, where: str) -> int:
    text = entries.get(key, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ExternalDataError(f"{where} with the {key} {text[:20]!r}, which is no number; export it again.")
    return int(text)
