"""Every way in which a chita.edge node can be malformed: a name, the model, and the words its refusal must hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import sparse_models
from onnx import TensorProto

NODE = "the node"
COLUMNS = 12
WEIGHTS: dict[str, tuple[int, ...]] = {
    "CsrConv": (6, COLUMNS, 1, 1),
    "CsrConvAdd": (6, COLUMNS, 1, 1),
    "CsrGemm": (6, COLUMNS),
    "DepthwiseConv": (6, 1, 3, 3),
    "DenseConv": (6, 5, 3, 3),
}


@dataclass(frozen=True)
class Malformed:
    """One model that must be refused."""

    name: str
    model: bytes
    words: str


def weight_of(op: str) -> sparse_models.Array:
    rng = np.random.default_rng(11)
    weight = sparse_models.random_sparse(rng, WEIGHTS[op], 0.5 if op.startswith("Csr") else 0)
    weight[1] = 0  # a row without values
    weight.reshape(6, -1)[2, :3] = 1  # and one with three neighbours
    return weight


def x_shape(op: str) -> list[int | str | None]:
    if op == "CsrGemm":
        return [None, COLUMNS]
    return [None, {"DepthwiseConv": 6, "DenseConv": 5}.get(op, COLUMNS), 5, 5]


def _model(op: str, constants: dict[str, Any], **options: Any) -> bytes:
    return sparse_models.model(op, constants, **({"x_shape": x_shape(op), "name": NODE} | options))


def _csr_variants(op: str) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Replacements of constants, and the refusal of each."""
    good = sparse_models.csr(weight_of(op))
    row_ptr, col_idx, values, shape = (good[k] for k in ("row_ptr", "col_idx", "values", "weight_shape"))
    nnz, start = len(values), int(row_ptr[2])

    def changed(array: Any, index: int, value: int, dtype: Any = None) -> Any:
        copy = array.astype(dtype or array.dtype)
        copy[index] = value
        return copy

    rank = len(shape)
    yield "row_ptr starts above 0", {"row_ptr": changed(row_ptr, 0, 1)}, "row_ptr starts at 1"
    yield "row_ptr starts below 0", {"row_ptr": changed(row_ptr, 0, -1)}, "row_ptr starts at -1"
    yield "row_ptr falls", {"row_ptr": changed(row_ptr, 3, 0)}, "row_ptr falls from"
    yield "row_ptr goes below 0", {"row_ptr": changed(row_ptr, 3, -(2**31))}, "to -2147483648 at row 2"
    yield "row_ptr jumps beyond the end", {"row_ptr": changed(row_ptr, 3, 2**31 - 1)}, "row_ptr falls from 2147483647"
    yield "row_ptr ends too early", {"row_ptr": np.minimum(row_ptr, nnz - 1)}, f"row_ptr ends at {nnz - 1}"
    yield "row_ptr ends too late", {"row_ptr": changed(row_ptr, -1, nnz + 1)}, f"row_ptr ends at {nnz + 1}"
    yield "row_ptr ends far too late", {"row_ptr": changed(row_ptr, -1, 2**31 - 1)}, "row_ptr ends at 2147483647"
    yield "row_ptr is short", {"row_ptr": row_ptr[:-1]}, "row_ptr has 6 entries, a weight of 6 rows needs 7"
    yield "row_ptr is long", {"row_ptr": np.append(row_ptr, row_ptr[-1])}, "row_ptr has 8 entries"
    yield "row_ptr is empty", {"row_ptr": row_ptr[:0]}, "row_ptr has 0 entries"
    yield "row_ptr has two dimensions", {"row_ptr": row_ptr[None]}, "row_ptr has 2 dimensions, 1 are needed"
    yield "row_ptr is a scalar", {"row_ptr": np.int32(0)}, "row_ptr has 0 dimensions"
    yield "column beyond the row", {"col_idx": changed(col_idx, -1, COLUMNS)}, f"is {COLUMNS}, outside the"
    yield "uint8 column far out", {"col_idx": changed(col_idx, start, 255)}, "is 255, outside the"
    yield "uint16 column far out", {"col_idx": changed(col_idx, start, 65535, np.uint16)}, "is 65535, outside the"
    yield "int32 column far out", {"col_idx": changed(col_idx, start, 2**31 - 1, np.int32)}, "is 2147483647, outside"
    yield "negative column", {"col_idx": changed(col_idx, start, -1, np.int32)}, "is -1, outside the"
    yield "most negative column", {"col_idx": changed(col_idx, start, -(2**31), np.int32)}, "is -2147483648, outside"
    yield "column twice", {"col_idx": changed(col_idx, start + 1, int(col_idx[start]))}, "row 2 names column"
    swapped = col_idx.copy()
    swapped[[start, start + 1]] = swapped[[start + 1, start]]
    yield "columns not ascending", {"col_idx": swapped}, "the columns of row 2 are not ascending"
    yield "fewer columns than values", {"col_idx": col_idx[:-1]}, f"there are {nnz} values but {nnz - 1} column"
    yield "more columns than values", {"col_idx": np.append(col_idx, col_idx[-1])}, f"but {nnz + 1} column numbers"
    yield "no columns", {"col_idx": col_idx[:0]}, "but 0 column numbers"
    yield "columns of two dimensions", {"col_idx": col_idx[None]}, "col_idx must have one dimension"
    yield "fewer values", {"values": values[:-1]}, f"there are {nnz - 1} values but"
    yield "values of two dimensions", {"values": values[None]}, "values has 2 dimensions, 1 are needed"
    yield "bias too short", {"bias": np.zeros(5, np.float32)}, "bias has 5 elements, a weight of 6 rows"
    yield "bias too long", {"bias": np.zeros(7, np.float32)}, "bias has 7 elements"
    yield "bias of two dimensions", {"bias": np.zeros((1, 6), np.float32)}, "bias has 2 dimensions"
    yield "weight_shape short", {"weight_shape": shape[:-1]}, f"the weight has {rank - 1} dimensions, {rank} are"
    yield "weight_shape long", {"weight_shape": np.append(shape, 1)}, f"the weight has {rank + 1} dimensions"
    yield "weight_shape empty", {"weight_shape": shape[:0]}, f"the weight has 0 dimensions, {rank} are needed"
    yield "fewer rows", {"weight_shape": changed(shape, 0, 5)}, "bias has 6 elements, a weight of 5 rows"
    yield "no rows", {"weight_shape": changed(shape, 0, 0)}, "dimension 0 of the weight is 0, outside 1 to"
    yield "negative rows", {"weight_shape": changed(shape, 0, -6)}, "dimension 0 of the weight is -6, outside"
    yield "no columns in the shape", {"weight_shape": changed(shape, 1, 0)}, "dimension 1 of the weight is 0"
    yield "dimension 2^62", {"weight_shape": changed(shape, 1, 2**62)}, f"dimension 1 of the weight is {2**62}"
    yield "dimension -2^63", {"weight_shape": changed(shape, 1, -(2**63))}, f"dimension 1 of the weight is {-(2**63)}"
    yield "2^32 rows, 6 modulo 2^32", {"weight_shape": changed(shape, 0, 2**32 + 6)}, "is 4294967302, outside"
    yield "fewer columns in the shape", {"weight_shape": changed(shape, 1, 2)}, "outside the 2 columns of row"
    if rank == 4:
        huge = np.array([6, 2**24, 2**10, 1], np.int64)
        yield "rows of 2^34 elements", {"weight_shape": huge}, "rows are longer than 2147483647 elements"
        overflowing = np.array([6, 2**24, 2**10, 2**30], np.int64)
        yield "product of 2^64", {"weight_shape": overflowing}, "longer than 2147483647 elements"
        yield "kernel of 2^20", {"weight_shape": changed(shape, 3, 2**20)}, "dimension 3 of the weight is 1048576"
    yield "int64 columns", {"col_idx": col_idx.astype(np.int64)}, "col_idx must be uint8, uint16 or int32"
    yield "float columns", {"col_idx": col_idx.astype(np.float32)}, "col_idx must be uint8, uint16 or int32"
    yield "int8 columns", {"col_idx": col_idx.astype(np.int8)}, "col_idx must be uint8, uint16 or int32"
    yield "text columns", {"col_idx": np.array(["a"] * nnz)}, "col_idx must be uint8, uint16 or int32"
    yield "double values", {"values": values.astype(np.float64)}, "values must be float32 or float16"
    yield "integer values", {"values": values.astype(np.int16)}, "values must be float32 or float16"
    yield "half values of two dimensions", {"values": values.astype(np.float16)[None]}, "values has 2 dimensions"
    yield "too few half values", {"values": values.astype(np.float16)[:-1]}, f"there are {nnz - 1} values but"
    yield "int64 row_ptr", {"row_ptr": row_ptr.astype(np.int64)}, "row_ptr must be int32"
    yield "int32 weight_shape", {"weight_shape": shape.astype(np.int32)}, "weight_shape must be int64"
    yield "double bias", {"bias": np.zeros(6)}, "bias must be float32"


def _dense_variants(op: str) -> Iterator[tuple[str, dict[str, Any], str]]:
    weight = weight_of(op)
    yield "bias too short", {"bias": np.zeros(5, np.float32)}, "bias has 5 elements, a weight of 6 rows"
    yield "bias too long", {"bias": np.zeros(7, np.float32)}, "bias has 7 elements"
    yield "weight of three dimensions", {"W": weight[..., 0]}, "W has 3 dimensions, 4 are needed"
    yield "weight of five dimensions", {"W": weight[..., None]}, "W has 5 dimensions"
    yield "weight without rows", {"W": weight[:0], "bias": np.zeros(0, np.float32)}, "dimension 0 of the weight is 0"
    yield "weight without columns", {"W": weight[:, :, :0]}, "dimension 2 of the weight is 0"
    yield "double weight", {"W": weight.astype(np.float64)}, "W must be float32"
    yield "double bias", {"bias": np.zeros(6)}, "bias must be float32"
    if op == "DepthwiseConv":
        two = np.repeat(weight, 2, axis=1)
        yield "two channels a filter", {"W": two}, "dimension 1 of its weight is 2, a depthwise weight has 1"


def _attribute_variants(op: str) -> Iterator[tuple[str, dict[str, Any], str]]:
    if op != "CsrGemm":
        for name, count in (("strides", 2), ("pads", 4), ("dilations", 2)):
            good = [1] * count
            yield f"{name} short", {name: good[:-1]}, f"its attribute {name} has {count - 1} integers, {count} are"
            yield f"{name} long", {name: [*good, 1]}, f"its attribute {name} has {count + 1} integers"
            yield f"{name} negative", {name: [*good[:-1], -1]}, f"its attribute {name} holds -1, outside"
            yield f"{name} huge", {name: [*good[:-1], 2**62]}, f"its attribute {name} holds {2**62}, outside"
            yield f"{name} of floats", {name: [1.5] * count}, f"its attribute {name} has 0 integers"
            yield f"{name} a word", {name: "SAME"}, f"its attribute {name} has 0 integers"
            if name != "pads":
                yield f"{name} zero", {name: [0] * count}, f"its attribute {name} holds 0, outside 1"
    for name in ("clip_min", "clip_max"):
        yield f"{name} an integer", {name: 1}, f"its attribute {name} must be a float"
        yield f"{name} NaN", {name: float("nan")}, "neither may be NaN"
    yield "clip upside down", {"clip_min": 2.0, "clip_max": 1.0}, "clip_min must not be above clip_max"


def malformed(op: str) -> Iterator[Malformed]:
    """All malformed models of one op."""
    weight, bias = weight_of(op), np.zeros(6, np.float32)
    good = sparse_models.constants_of(op, weight, bias)
    for name, changes, words in _csr_variants(op) if op.startswith("Csr") else _dense_variants(op):
        yield Malformed(name, _model(op, good | changes), words)
    for name, attributes, words in _attribute_variants(op):
        yield Malformed(name, _model(op, good, **attributes), words)
    every = ["X", *good, *(["residual"] if op == "CsrConvAdd" else [])]
    for one in good:
        yield Malformed(f"{one} fed at run time", _model(op, good, fed=[one]), f"its input {one} must be a constant")
        inputs = ["" if key == one else key for key in every]
        yield Malformed(f"{one} left out", _model(op, good, inputs=inputs), "")
    yield Malformed("one input too few", _model(op, good, inputs=every[:-1]), "")
    yield Malformed("one input too many", _model(op, good, inputs=[*every, "bias"]), "")
    yield Malformed("double X", _model(op, good, x_type=TensorProto.DOUBLE), "tensor(double)")
