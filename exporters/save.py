"""Write a model file whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

import onnx
from google.protobuf.message import EncodeError  # type: ignore[import-untyped]

from exporters.errors import SaveError
from exporters.serialize import to_bytes


def save(model: onnx.ModelProto, path: str | Path) -> None:
    """Write ``model`` to ``path``, replacing a file there only once the new one is complete and on disk.

    Whatever ends the call early, an interrupt among it, leaves neither a part of the file nor a temporary one; a
    process that is killed can leave ``.NAME.partial``, which the next call for the same file takes up.
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
    target = target.absolute()
    descriptor, partial = _partial(target)
    with os.fdopen(descriptor, "wb") as file:
        try:
            file.truncate()
            file.write(data)
            file.flush()
            os.fsync(descriptor)
            partial.replace(target)
        except BaseException:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)  # while it is locked: afterwards it may be another writer's
            raise
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the new name is on disk as well
    finally:
        os.close(folder)


def _partial(target: Path) -> tuple[int, Path]:
    """Open and lock the hidden file beside ``target`` that becomes it.

    It always has the same name, so what a killed process left is written over by the next one. Writers of one target
    take turns; the system drops the lock of a process that ends.
    """
    partial = target.with_name(f".{target.name[:40]}.partial")
    while True:
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(descriptor), partial.lstat()):
                return descriptor, partial
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # the writer before has given this file its name, or removed it
