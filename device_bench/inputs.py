"""Make up an input for a model: what it holds does not matter to its speed, that it is the same every time does."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from device_bench.errors import MeasurementError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_MAX_ELEMENTS = 1 << 28
_TYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64}


def made_up(rng: np.random.Generator, shape: Sequence[object], kind: str) -> NDArray[np.generic]:
    """Standard normal values (zeros for integers) of ONNX Runtime's type ``kind``; an open dimension becomes 1.

    MeasurementError for a type that nothing can be made up for, or a shape beyond 2^28 elements.
    """
    sizes = [size if isinstance(size, int) and size > 0 else 1 for size in shape]
    if kind not in _TYPES:
        raise MeasurementError(f"its input has the type {kind}, for which no input can be made up")
    if math.prod(sizes) > _MAX_ELEMENTS:
        raise MeasurementError(f"its input of shape {sizes} is too large")
    dtype = _TYPES[kind]
    if np.issubdtype(dtype, np.integer):
        return np.zeros(sizes, dtype)
    return rng.standard_normal(sizes).astype(dtype)


def only_input(path: Path, seed: int) -> NDArray[np.float32]:
    """The input of a model file with one float32 input, for the native runner. MeasurementError if it has others."""
    import onnx  # imported late: reading and comparing results does not need it

    try:
        graph = onnx.load(path, load_external_data=False).graph
    except Exception as error:  # protobuf's and onnx's own classes share no base
        raise MeasurementError(f"The model {path} could not be read: {error}") from error
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [entry for entry in graph.input if entry.name not in weights]
    if len(inputs) != 1 or inputs[0].type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
        raise MeasurementError(f"The model {path} has {len(inputs)} inputs; on a device it must be one of float32.")
    shape = [dim.dim_value or None for dim in inputs[0].type.tensor_type.shape.dim]
    return np.asarray(made_up(np.random.default_rng(seed), shape, "tensor(float)"), dtype=np.float32)
