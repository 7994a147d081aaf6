"""Every tensor in a model is exactly as large as the bytes that are there for it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import onnx
from onnx import TensorProto

from exporters.errors import MalformedModelError, UnsupportedOpError

_MAX_RANK = 8
# Bytes of an element in memory and in raw_data, and the field that holds elements otherwise, one an entry.
_TYPES: dict[int, tuple[int, str]] = {
    TensorProto.FLOAT: (4, "float_data"),
    TensorProto.DOUBLE: (8, "double_data"),
    TensorProto.FLOAT16: (2, "int32_data"),
    TensorProto.UINT8: (1, "int32_data"),
    TensorProto.INT8: (1, "int32_data"),
    TensorProto.UINT16: (2, "int32_data"),
    TensorProto.INT16: (2, "int32_data"),
    TensorProto.INT32: (4, "int32_data"),
    TensorProto.BOOL: (1, "int32_data"),
    TensorProto.INT64: (8, "int64_data"),
    TensorProto.UINT32: (4, "uint64_data"),
    TensorProto.UINT64: (8, "uint64_data"),
}


def tensor_bytes(tensor: TensorProto) -> int:
    """Bytes of a tensor in memory. Raises UnsupportedOpError for element types that networks here do not have."""
    if tensor.data_type not in _TYPES:
        raise UnsupportedOpError(
            f"tensor {tensor.name!r} has the element type {tensor.data_type}, which is not read here."
        )
    count: int = math.prod(tensor.dims)
    return count * _TYPES[tensor.data_type][0]


def all_tensors(model: onnx.ModelProto) -> Iterator[TensorProto]:
    """Initializers and tensors in attributes of the graph; our functions have been compared with ours before."""
    yield from model.graph.initializer
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def check_tensors(model: onnx.ModelProto) -> None:
    """Raises MalformedModelError for a tensor whose size and data disagree, UnsupportedOpError for sparse tensors."""
    if model.graph.sparse_initializer:
        name = model.graph.sparse_initializer[0].values.name
        raise UnsupportedOpError(
            f"weight {name!r} is a sparse_initializer, whose size nothing bounds; export it again."
        )
    for tensor in all_tensors(model):
        _check(tensor)


def _check(tensor: TensorProto) -> None:
    if len(tensor.dims) > _MAX_RANK or any(dim < 0 for dim in tensor.dims):
        raise MalformedModelError(
            f"tensor {tensor.name!r} has the dimensions {list(tensor.dims)[:9]}; export it again."
        )
    expected = tensor_bytes(tensor)
    size, field = _TYPES[tensor.data_type]
    if tensor.HasField("segment") or (tensor.HasField("raw_data") and len(getattr(tensor, field))):
        raise MalformedModelError(f"tensor {tensor.name!r} stores its data in two ways; export it again.")
    held = len(tensor.raw_data) if tensor.HasField("raw_data") else size * len(getattr(tensor, field))
    if held != expected:
        raise MalformedModelError(
            f"tensor {tensor.name!r} of dimensions {list(tensor.dims)} needs {expected} bytes, but {held} are there; "
            "the file is damaged, export it again."
        )
