"""Grids of integers: scale and zero point of QuantizeLinear and DequantizeLinear nodes, and constants on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from exporters.layers.graph import constant
from exporters.weights.dtypes import Array

_SHIFTS: dict[np.dtype[Any], int] = {np.dtype(np.uint8): 0, np.dtype(np.int8): 128}
_TYPES: dict[ir.DataType, np.dtype[Any]] = {ir.DataType.UINT8: np.dtype(np.uint8), ir.DataType.INT8: np.dtype(np.int8)}


@dataclass(frozen=True)
class Grid:
    """Codes 0…255 of real numbers scale · (code − zero).

    shift: what a file's int8 codes and their zero point are raised by; 0 for uint8.
    """

    scale: np.float32
    zero: int
    shift: int = 0

    def codes(self, real: Array) -> Array:
        """The nearest codes, as ONNX's QuantizeLinear: rne(x / scale) + zero, saturated."""
        codes: Array = np.clip(np.rint(np.asarray(real, np.float32) / self.scale) + self.zero, 0, 255)
        return codes.astype(np.uint8)

    def real(self, codes: Array) -> Array:
        """Float32 numbers of codes."""
        return (codes.astype(np.int64) - self.zero).astype(np.float32) * self.scale

    def alike(self, other: Grid) -> bool:
        """Whether codes mean the same numbers on both."""
        return self.scale == other.scale and self.zero == other.zero


def grid_of(node: ir.Node) -> Grid | None:
    """The grid of a QuantizeLinear or DequantizeLinear node of activations; None for any that no int8 op of ours has.

    That is one of another type than uint8 and int8, with several scales, or with one that is no positive normal number.
    """
    scale = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    if scale is None or scale.size != 1 or scale.dtype != np.float32:
        return None
    number = np.float32(scale.reshape(()))
    dtype: np.dtype[Any] = np.dtype(np.uint8)
    zero = 0
    given = node.inputs[2] if len(node.inputs) > 2 else None
    if given is not None:
        array = constant(given)
        if array is None or array.size != 1:
            return None
        dtype, zero = array.dtype, int(array.reshape(()))
    else:
        codes = node.outputs[0] if node.op_type == "QuantizeLinear" else node.inputs[0]
        kind = codes.type.dtype if codes is not None and codes.type is not None else ir.DataType.UINT8
        if kind not in _TYPES:
            return None
        dtype = _TYPES[kind]
    if dtype not in _SHIFTS or not (np.isfinite(number) and number >= np.finfo(np.float32).tiny):
        return None
    return Grid(number, zero + _SHIFTS[dtype], _SHIFTS[dtype])


def is_quantize(node: ir.Node | None) -> bool:
    """Whether a node is a QuantizeLinear."""
    return node is not None and node.op_type == "QuantizeLinear" and not node.domain


def is_dequantize(node: ir.Node | None) -> bool:
    """Whether a node is a DequantizeLinear."""
    return node is not None and node.op_type == "DequantizeLinear" and not node.domain
