"""Read ONNX files that nobody vouches for.

What :func:`load` returns has been bounded before any runtime sees it: every tensor is as large as the bytes that the
file (or a file in its folder) holds for it, every CSR weight is valid and small enough to densify, every intermediate
value has a fixed size within limits, there are no loops, no branches, no functions but ours.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError, EncodeError, Message  # type: ignore[import-untyped]

from exporters.errors import LoadError, MalformedModelError, NotOnnxError, TooLargeError, UnsupportedOpError
from exporters.ops import DOMAIN, OPS, VERSION
from exporters.untrusted.external import embed_external_data
from exporters.untrusted.graph import check_graph
from exporters.untrusted.tensors import check_tensors

MIB = 2**20
_OPSETS = range(7, onnx.defs.onnx_opset_version() + 1)


@dataclass(frozen=True)
class Limits:
    """How much a file may make a runtime allocate.

    file_bytes: of the file and all files it refers to. dense_factor: bytes of the densified weights per byte of file,
    not applied below dense_bytes_always. total_bytes: weights densified and all values of one inference together.
    nodes: in the graph.
    """

    file_bytes: int = 2**31 - 1
    dense_factor: int = 64
    dense_bytes_always: int = 256 * MIB
    total_bytes: int = 4096 * MIB
    nodes: int = 100_000

    def dense_bytes(self, file_bytes: int) -> int:
        """Largest size of all weights of a file of that size, densified."""
        return min(self.total_bytes, max(self.dense_bytes_always, self.dense_factor * file_bytes))


DEFAULT_LIMITS = Limits()


def load(path: str | Path, limits: Limits = DEFAULT_LIMITS) -> onnx.ModelProto:
    """The model in the file at ``path``, checked as this module's docstring says, external data read into it.

    Raises a LoadError: NotOnnxError, TooLargeError, ExternalDataError, MalformedModelError or UnsupportedOpError. It
    names the file and what is wrong in it.
    """
    source = Path(path)
    try:
        data = _read(source, limits)
        model = _parse(data)
        _check_header(model, limits)
        size = len(data) + embed_external_data(model, source.parent, limits.file_bytes - len(data))
        check_tensors(model)
        check_graph(model, limits.dense_bytes(size), limits.total_bytes)
        _check_onnx(model)
    except LoadError as error:
        raise type(error)(f"{source}: {error}") from error.__cause__
    return model


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
    _check_text(model)
    return model


def _check_text(message: Message) -> None:
    """Refuse names that are no UTF-8, which protobuf hands out as bytes and ONNX's own code does not expect."""
    for field, value in message.ListFields():
        entries = (value,) if isinstance(value, (str, bytes, int, float, Message)) else value
        if field.type == field.TYPE_STRING and any(isinstance(entry, bytes) for entry in entries):
            raise NotOnnxError(f"a {field.name} in it is no text; the file is damaged, export the model again.")
        if field.type == field.TYPE_MESSAGE:
            for entry in entries:
                _check_text(entry)


def _check_header(model: onnx.ModelProto, limits: Limits) -> None:
    if not 3 <= model.ir_version <= onnx.IR_VERSION:
        raise UnsupportedOpError(f"its IR version is {model.ir_version}; this reads 3 to {onnx.IR_VERSION}.")
    seen: set[str] = set()
    for opset in model.opset_import:
        domain = "" if opset.domain == "ai.onnx" else opset.domain
        if domain in seen:
            raise MalformedModelError(f"it imports the operator set {domain!r} twice; export it again.")
        seen.add(domain)
        if domain == "" and opset.version in _OPSETS:
            continue
        if domain == DOMAIN and opset.version == VERSION:
            continue
        raise UnsupportedOpError(
            f"it needs version {opset.version} of the operator set {domain or 'ai.onnx'!r}; this reads "
            f"ai.onnx {_OPSETS.start} to {_OPSETS.stop - 1} and {DOMAIN} {VERSION}."
        )
    if "" not in seen:
        raise MalformedModelError("it does not say which ONNX operator set it uses; export it again.")
    if len(model.graph.node) > limits.nodes:
        raise TooLargeError(f"its graph has {len(model.graph.node)} nodes, more than the {limits.nodes} allowed.")
    _check_functions(model)


def _check_onnx(model: onnx.ModelProto) -> None:
    try:
        onnx.checker.check_model(model)
    except (EncodeError, ValueError) as error:  # which of them depends on protobuf's implementation
        raise TooLargeError("with its external data it exceeds the 2 GB of an ONNX model.") from error
    except onnx.checker.ValidationError as error:
        first = str(error).strip().splitlines()[0]
        raise MalformedModelError(f"ONNX's checker refuses it ({first}); export it again.") from error


def _check_functions(model: onnx.ModelProto) -> None:
    """Functions may be ours, to the letter, and nothing else: a body can ask for any amount of memory."""
    names = [function.name for function in model.functions]
    if len(set(names)) != len(names):
        raise MalformedModelError("it defines a function twice; export it again.")
    for function in model.functions:
        op = OPS.get(function.name)
        if op is None or function != op.function:
            raise UnsupportedOpError(
                f"its function {function.domain}:{function.name} is not the one this version writes; export it again."
            )
    missing = {node.op_type for node in model.graph.node if node.domain == DOMAIN} - set(names)
    if missing:
        raise MalformedModelError(f"it lacks the function bodies of {', '.join(sorted(missing))}; export it again.")
    if model.training_info:
        raise UnsupportedOpError("it carries training information, which no exporter of ours writes.")
