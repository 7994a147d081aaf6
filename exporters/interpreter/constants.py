"""Constants and attributes of an ONNX graph, as torch has them."""

from __future__ import annotations

from typing import Any

import onnx
import torch
from onnx import numpy_helper

from exporters.errors import UnsupportedModelError
from exporters.interpreter.dtypes import NotComputed, torch_dtype


def constant(tensor: onnx.TensorProto) -> torch.Tensor:
    """A constant of a graph. Raises UnsupportedModelError where torch has no such type."""
    try:
        return tensor_of(tensor)
    except NotComputed as error:
        raise UnsupportedModelError(
            f"The constant {tensor.name} is of type {type_name(tensor.data_type)}, which torch does not compute with."
        ) from error


def type_name(number: int) -> str:
    """An ONNX type in words, as int8; its number where it has no name."""
    known: dict[int, str] = {value: name for name, value in onnx.TensorProto.DataType.items()}
    return known.get(number, str(number)).lower()


def tensor_of(tensor: onnx.TensorProto) -> torch.Tensor:
    """The same values; half precision as float32. Raises NotComputed where torch has no such type."""
    dtype = torch_dtype(tensor.data_type)
    array = numpy_helper.to_array(tensor)
    if array.dtype.name in ("bfloat16", "float16"):
        array = array.astype("float32")
    return torch.from_numpy(array.copy()).to(dtype)


def plain(value: Any) -> Any:
    """An attribute as Python has it: text, numbers, lists of them; tensors as torch's."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, list):
        return [plain(entry) for entry in value]
    if isinstance(value, onnx.TensorProto):
        try:
            return tensor_of(value)
        except (NotComputed, TypeError, ValueError):
            return value
    return value
