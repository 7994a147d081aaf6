"""Write a model file whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

import onnx
from google.protobuf.message import EncodeError  # type: ignore[import-untyped]

from exporters.errors import SaveError
from exporters.serialize import to_bytes


def save(model: onnx.ModelProto, path: str | Path) -> None:
    """Write ``model`` to ``path``, replacing a file there only once the new one is complete and on disk.

    Whatever ends the call early, an interrupt among it, leaves neither a part of the file nor a temporary one.
    Raises SaveError when the model exceeds protobuf's 2 GB or the file system refuses.
    """
    target = Path(path)
    try:
        data = to_bytes(model)
    except (EncodeError, ValueError) as error:  # which of them depends on protobuf's implementation
        raise SaveError(
            f"The model for {target} does not fit in one ONNX file (2 GB); export a smaller network."
        ) from error
    try:
        _write(target, data)
    except OSError as error:
        raise SaveError(f"{target} could not be written ({error.strerror or error}); choose another place.") from error


def _write(target: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), 0o644)  # mkstemp's 0600 is for secrets, and a model is none
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        raise
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the new name is on disk as well
    finally:
        os.close(folder)
