"""Random input for a model, the same every time; its values do not matter to the speed.

Its size matters more than anything. Where a file leaves a dimension open, the first one is the batch and becomes 1;
any other has to be given, because a latency at a size that nobody runs looks like any other latency.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from device_bench.errors import MeasurementError, PlanError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_MAX_ELEMENTS = 1 << 28
_TYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(bool)": np.bool_,
}


def input_shape(name: str, declared: Sequence[object], given: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    """The size at which an input is measured: the ``declared`` one, its open dimensions as ``given`` for its name.

    An open dimension is anything but a number above zero. PlanError names the input and what to give if another than
    the first dimension of several is open, or if what is given does not fit the declared one.
    """
    sizes = [size if isinstance(size, int) and size > 0 else None for size in declared]
    told = "×".join(str(size or known or "?") for size, known in zip(sizes, declared, strict=True)) or "of no dimension"
    if name in given:
        chosen = given[name]
        if len(chosen) != len(sizes) or any(
            size is not None and size != wanted for size, wanted in zip(sizes, chosen, strict=True)
        ):
            wanted_shape = "×".join(map(str, chosen))
            raise PlanError(f"The input {name!r:.80} has the shape {told} in the file; {wanted_shape} does not fit it.")
        return chosen
    batch = 1 if len(sizes) > 1 else 0
    if None in sizes[batch:]:
        example = "x".join(str(size or (1 if at < batch else "SIZE")) for at, size in enumerate(sizes))
        raise PlanError(
            f"The input {name!r:.80} has the shape {told}, which leaves its size open, and the time depends on it: "
            f"give the size that the app runs, with --input {name:.80}={example} or BenchPlan(input_shapes=...)."
        )
    return tuple(size or 1 for size in sizes)


def check_names(given: Mapping[str, tuple[int, ...]], inputs: Iterable[str]) -> None:
    """PlanError if a size was given to an input that the model does not have."""
    there = list(inputs)
    for name in given:
        if name not in there:
            raise PlanError(f"The model has no input {name!r:.80}; it has {', '.join(there) or 'none'}.")


def made_up(rng: np.random.Generator, shape: Sequence[int], kind: str) -> NDArray[np.generic]:
    """Standard normal values (zeros for integers, true for bools) of ONNX Runtime's type ``kind``.

    MeasurementError for a type that nothing can be made up for, or a shape beyond 2^28 elements.
    """
    if kind not in _TYPES:
        raise MeasurementError(f"its input has the type {kind}, for which no input can be made up")
    if math.prod(shape) > _MAX_ELEMENTS:
        raise MeasurementError(f"its input of shape {list(shape)} is too large")
    dtype = _TYPES[kind]
    if dtype is np.bool_:
        return np.ones(shape, dtype)  # as of a mask that lets all through
    if np.issubdtype(dtype, np.integer):
        return np.zeros(shape, dtype)
    return rng.standard_normal(shape).astype(dtype)


def only_input(
    path: Path, seed: int, given: Mapping[str, tuple[int, ...]] | None = None
) -> tuple[str, NDArray[np.float32]]:
    """Name and content of the input of a model file with one float32 input, for the native runner.

    MeasurementError if it has others; PlanError of :func:`input_shape`.
    """
    import onnx  # imported late: reading and comparing results does not need it

    try:
        graph = onnx.load(path, load_external_data=False).graph
    except Exception as error:  # protobuf's and onnx's own classes share no base
        raise MeasurementError(f"The model {path} could not be read: {error}") from error
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [entry for entry in graph.input if entry.name not in weights]
    if len(inputs) != 1 or inputs[0].type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
        raise MeasurementError(f"The model {path} has {len(inputs)} inputs; on a device it must be one of float32.")
    name = inputs[0].name
    declared = [dim.dim_value or dim.dim_param for dim in inputs[0].type.tensor_type.shape.dim]
    check_names(given or {}, [name])
    shape = input_shape(name, declared, given or {})
    return name, np.asarray(made_up(np.random.default_rng(seed), shape, "tensor(float)"), dtype=np.float32)
