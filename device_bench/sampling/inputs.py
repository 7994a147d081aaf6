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
    "tensor(uint16)": np.uint16,
    "tensor(int16)": np.int16,
    "tensor(uint32)": np.uint32,
    "tensor(uint64)": np.uint64,
    "tensor(bool)": np.bool_,
}
ELEMENT_TYPES = {
    1: "tensor(float)",
    2: "tensor(uint8)",
    3: "tensor(int8)",
    4: "tensor(uint16)",
    5: "tensor(int16)",
    6: "tensor(int32)",
    7: "tensor(int64)",
    9: "tensor(bool)",
    10: "tensor(float16)",
    11: "tensor(double)",
    12: "tensor(uint32)",
    13: "tensor(uint64)",
}
"""ONNX Runtime's names of types by ONNX's numbers."""


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


def inputs_of(
    path: Path, seed: int, given: Mapping[str, tuple[int, ...]] | None = None
) -> dict[str, NDArray[np.generic]]:
    """Content of each input of a model file by its name, in the model's order, for the native runner.

    The same as :mod:`device_bench.sampling.prepared` makes up for a session.
    MeasurementError for a type that nothing can be made up for; PlanError of :func:`input_shape`.
    """
    import onnx  # imported late: reading and comparing results does not need it

    try:
        graph = onnx.load(path, load_external_data=False).graph
    except Exception as error:  # protobuf's and onnx's own classes share no base
        raise MeasurementError(f"The model {path} could not be read: {error}") from error
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [entry for entry in graph.input if entry.name not in weights]
    check_names(given or {}, [entry.name for entry in inputs])
    rng = np.random.default_rng(seed)
    found: dict[str, NDArray[np.generic]] = {}
    for entry in inputs:
        kind = entry.type.tensor_type.elem_type
        if kind not in ELEMENT_TYPES:
            name = onnx.TensorProto.DataType.Name(kind).lower() if kind else "no tensor"
            raise MeasurementError(
                f"The model {path} has the input {entry.name!r:.80} of type {name}, for which none can be made up."
            )
        declared = [dim.dim_value or dim.dim_param for dim in entry.type.tensor_type.shape.dim]
        shape = input_shape(entry.name, declared, given or {})
        found[entry.name] = made_up(rng, shape, ELEMENT_TYPES[kind])
    return found


def as_runner_words(arrays: Iterable[NDArray[np.generic]]) -> tuple[bytes, list[str]]:
    """Content of the runner's ``--input`` file, and its options that say which inputs it holds."""
    content, words = bytearray(), list[str]()
    numbers = {np.dtype(_TYPES[kind]): number for number, kind in ELEMENT_TYPES.items()}
    for array in arrays:
        content += np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()
        words += ["--shape", f"{numbers[array.dtype]}:{','.join(map(str, array.shape))}"]
    return bytes(content), words
