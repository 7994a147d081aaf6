"""Checks that every tensor of a model is exactly as large as its bytes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import onnx
from onnx import TensorProto, numpy_helper

from exporters.errors import MalformedModelError, UnsupportedOpError
from exporters.untrusted.walk import messages
from exporters.weights.dtypes import Array

_MAX_RANK = 32
_MAX_RANK_TO_RUN = 8
# Sizes besides a size of zero, whose product says nothing; numpy counts in 64 bits.
_MAX_COUNT = 2**40


class _Type(NamedTuple):
    """An element type: bits of an element, and the field that holds elements outside raw_data, bytes an entry."""

    bits: int
    field: str
    entry_bytes: int


_TO_RUN: dict[int, _Type] = {
    TensorProto.FLOAT: _Type(32, "float_data", 4),
    TensorProto.DOUBLE: _Type(64, "double_data", 8),
    TensorProto.FLOAT16: _Type(16, "int32_data", 2),
    TensorProto.UINT8: _Type(8, "int32_data", 1),
    TensorProto.INT8: _Type(8, "int32_data", 1),
    TensorProto.UINT16: _Type(16, "int32_data", 2),
    TensorProto.INT16: _Type(16, "int32_data", 2),
    TensorProto.INT32: _Type(32, "int32_data", 4),
    TensorProto.BOOL: _Type(8, "int32_data", 1),
    TensorProto.INT64: _Type(64, "int64_data", 8),
    TensorProto.UINT32: _Type(32, "uint64_data", 4),
    TensorProto.UINT64: _Type(64, "uint64_data", 8),
}
RUNNABLE = frozenset(_TO_RUN)
"""Element types that a runtime is given."""
# Small elements share bytes, and an entry of int32_data is one such byte.
_SMALL_FLOATS = ("FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ", "FLOAT8E8M0")
_BITS = {"BFLOAT16": 16, **dict.fromkeys(_SMALL_FLOATS, 8)}
_BITS |= {"UINT4": 4, "INT4": 4, "FLOAT4E2M1": 4, "UINT2": 2, "INT2": 2}
_TYPES: dict[int, _Type] = {
    **_TO_RUN,
    TensorProto.COMPLEX64: _Type(64, "float_data", 4),
    TensorProto.COMPLEX128: _Type(128, "double_data", 8),
    # The installed onnx may be older than some of them.
    **{
        TensorProto.DataType.Value(name): _Type(bits, "int32_data", max(1, bits // 8))
        for name, bits in _BITS.items()
        if name in TensorProto.DataType.keys()  # noqa: SIM118 - an enum wrapper, which has no `in`
    },
}


def tensor_bytes(tensor: TensorProto) -> int:
    """Bytes of a tensor in memory. Raises UnsupportedOpError for element types that this version does not know."""
    if tensor.data_type == TensorProto.STRING:
        return sum(len(text) for text in tensor.string_data)
    if tensor.data_type not in _TYPES:
        raise UnsupportedOpError(
            f"tensor {tensor.name!r} has the element type {tensor.data_type}, which is not read here."
        )
    count: int = math.prod(tensor.dims)
    return (count * _TYPES[tensor.data_type].bits + 7) // 8


def to_array(tensor: TensorProto) -> Array:
    """The elements of a tensor that :func:`check_tensors` has let through. Raises MalformedModelError."""
    try:
        return numpy_helper.to_array(tensor)
    except (ValueError, TypeError, OverflowError) as error:
        raise MalformedModelError(f"tensor {tensor.name!r} holds no numbers ({error}); export it again.") from error


def all_tensors(model: onnx.ModelProto) -> Iterator[TensorProto]:
    """Tensors wherever they are: initializers, attributes, subgraphs, functions, the parts of sparse tensors."""
    return (message for message in messages(model) if isinstance(message, TensorProto))


def check_tensors(model: onnx.ModelProto) -> None:
    """Check the size of each tensor. Raises MalformedModelError, and UnsupportedOpError for unknown types."""
    for tensor in all_tensors(model):
        _check(tensor)


def check_tensors_to_run(model: onnx.ModelProto) -> None:
    """Refuse tensors that no runtime is given here, sparse ones among them. Raises UnsupportedOpError."""
    if model.graph.sparse_initializer:
        name = model.graph.sparse_initializer[0].values.name
        raise UnsupportedOpError(
            f"weight {name!r} is a sparse_initializer, whose size nothing bounds; export it again."
        )
    for tensor in all_tensors(model):
        if tensor.data_type not in _TO_RUN or len(tensor.dims) > _MAX_RANK_TO_RUN:
            raise UnsupportedOpError(
                f"tensor {tensor.name!r} has the element type {tensor.data_type} and {len(tensor.dims)} dimensions, "
                "which is not run here."
            )


def _check(tensor: TensorProto) -> None:
    if len(tensor.dims) > _MAX_RANK or any(dim < 0 for dim in tensor.dims):
        raise MalformedModelError(
            f"tensor {tensor.name!r} has the dimensions {list(tensor.dims)[:9]}; export it again."
        )
    if math.prod(dim or 1 for dim in tensor.dims) > _MAX_COUNT:
        raise MalformedModelError(
            f"tensor {tensor.name!r} has the dimensions {list(tensor.dims)}, more than any file holds; export it again."
        )
    if tensor.data_type == TensorProto.STRING:
        field, what = "string_data", "strings"
        expected, held = math.prod(tensor.dims), len(tensor.string_data)
    else:
        expected, what = tensor_bytes(tensor), "bytes"
        _, field, entry_bytes = _TYPES[tensor.data_type]
        held = len(tensor.raw_data) if tensor.HasField("raw_data") else entry_bytes * len(getattr(tensor, field))
    twice = tensor.HasField("raw_data") and len(getattr(tensor, field)) > 0
    if tensor.HasField("segment") or twice:
        raise MalformedModelError(f"tensor {tensor.name!r} stores its data in two ways; export it again.")
    if held != expected:
        raise MalformedModelError(
            f"tensor {tensor.name!r} of dimensions {list(tensor.dims)} needs {expected} {what}, but {held} are there; "
            "the file is damaged, export it again."
        )
