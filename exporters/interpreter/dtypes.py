"""Types of ONNX tensors as torch computes them."""

from __future__ import annotations

import onnx
import torch

_DTYPES: dict[int, torch.dtype] = {
    onnx.TensorProto.BOOL: torch.bool,
    onnx.TensorProto.DOUBLE: torch.float64,
    onnx.TensorProto.FLOAT: torch.float32,
    onnx.TensorProto.INT8: torch.int8,
    onnx.TensorProto.INT16: torch.int16,
    onnx.TensorProto.INT32: torch.int32,
    onnx.TensorProto.INT64: torch.int64,
    onnx.TensorProto.UINT8: torch.uint8,
    # Networks of half precision are computed, and pruned, in float32.
    onnx.TensorProto.FLOAT16: torch.float32,
    onnx.TensorProto.BFLOAT16: torch.float32,
}


class NotComputed(Exception):  # noqa: N818 - no error: the node goes to ONNX Runtime
    """A form of an operator that the interpreter leaves to ONNX Runtime."""


def torch_dtype(onnx_type: int) -> torch.dtype:
    """The type in which torch computes a tensor of ``onnx_type``, a number of TensorProto.

    Raises NotComputed for strings, complex numbers and types of less than eight bits.
    """
    if onnx_type not in _DTYPES:
        raise NotComputed(f"tensors of type {onnx_type}")
    return _DTYPES[onnx_type]
