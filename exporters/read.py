"""Reading of untrusted ONNX files that are looked at and not run.

What :func:`read` returns is sound in its structure: it is ONNX, nested within limits, all text is text, each tensor is
as large as the bytes that the file (or a file in its folder) holds for it, and each CSR weight is one. Which operators
there are and what they would do is not asked; :func:`exporters.load` asks it.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]

from exporters.errors import LoadError, NotOnnxError, TooLargeError, UnsupportedOpError
from exporters.ops import DOMAIN, VERSION
from exporters.untrusted.csr_nodes import check_edge_weights
from exporters.untrusted.external import embed_external_data
from exporters.untrusted.limits import DEFAULT_LIMITS, Limits
from exporters.untrusted.packed import unpacked_constants
from exporters.untrusted.tensors import check_tensors
from exporters.untrusted.walk import graphs, messages


@dataclass(frozen=True, eq=False)
class Source:
    """A model as read, external data in it. file_bytes: of the file; bytes: with all external data."""

    model: onnx.ModelProto
    file_bytes: int
    bytes: int


def read(path: str | Path, limits: Limits = DEFAULT_LIMITS) -> Source:
    """Read the model at ``path``, check it as this module's docstring says, and embed its external data.

    Raises a LoadError that names the file and what is wrong in it.
    """
    source = Path(path)
    with naming(source):
        data = _read(source, limits)
        model = _parse(data)
        _check_messages(model, limits)
        external = embed_external_data(model, source.parent, limits.file_bytes - len(data))
        check_tensors(model)
        _check_edge_weights(model)
    return Source(model, len(data), len(data) + external)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the file's name before the sentence of a LoadError."""
    try:
        yield
    except LoadError as error:
        raise type(error)(f"{path}: {error}") from error.__cause__


def _read(path: Path, limits: Limits) -> bytes:
    try:
        # O_NONBLOCK: a named pipe must not hang the caller before it can be refused.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise NotOnnxError(f"it cannot be opened ({reason}); give the path of an .onnx file.") from error
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        raise NotOnnxError("it is not a regular file; give the path of an .onnx file.")
    with os.fdopen(handle, "rb") as file:
        if status.st_size > limits.file_bytes:
            raise TooLargeError(f"it has {status.st_size} bytes, more than the {limits.file_bytes} allowed.")
        data = file.read(limits.file_bytes + 1)
    if not data:
        raise NotOnnxError("it is empty; export the model again.")
    if len(data) > limits.file_bytes:
        raise TooLargeError(f"it grew beyond the {limits.file_bytes} bytes allowed while it was read.")
    return data


def _parse(data: bytes) -> onnx.ModelProto:
    try:
        model: onnx.ModelProto = onnx.ModelProto.FromString(data)
    except DecodeError as error:
        raise NotOnnxError("it is truncated, nested too deeply, or no ONNX model; export the model again.") from error
    if not model.HasField("graph") or not model.ir_version:
        raise NotOnnxError("it holds no ONNX graph; export the model again.")
    return model


def _check_messages(model: onnx.ModelProto, limits: Limits) -> None:
    nodes = 0
    for message in messages(model):
        _check_text(message)
        if isinstance(message, onnx.NodeProto):
            nodes += 1
            if nodes > limits.nodes:
                raise TooLargeError(f"its graphs have more than the {limits.nodes} nodes allowed.")


def _check_text(message: Message) -> None:
    """Refuse names that are no UTF-8, which protobuf hands out as bytes and ONNX's own code does not expect."""
    for field, value in message.ListFields():
        if field.type != field.TYPE_STRING:
            continue
        if any(isinstance(entry, bytes) for entry in ((value,) if isinstance(value, (str, bytes)) else value)):
            raise NotOnnxError(f"a {field.name} in it is no text; the file is damaged, export the model again.")


def _check_edge_weights(model: onnx.ModelProto) -> None:
    for opset in model.opset_import:
        if opset.domain == DOMAIN and opset.version != VERSION:
            raise UnsupportedOpError(
                f"it needs version {opset.version} of the operator set {DOMAIN!r}; this reads version {VERSION}."
            )
    for graph, plain in graphs(model):
        constants = {**plain, **unpacked_constants(graph.node, plain)}
        for node in graph.node:
            if node.domain == DOMAIN:
                check_edge_weights(node, constants)
