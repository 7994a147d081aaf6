"""Weights and biases of quantised layers: their integers and scales, however the file holds them.

DequantizeLinear(int8 or uint8 initializer)                       → its integers
DequantizeLinear(weights of four bits, two a byte)                → its integers
DequantizeLinear(QuantizeLinear(float32 initializer))             → the integers that QuantizeLinear makes
Transpose of either                                               → transposed
bias: DequantizeLinear(int32 initializer), or a float32 one, which is rounded to the grid of the products
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from exporters.layers.graph import constant, ints
from exporters.qdq.grid import is_dequantize, is_quantize
from exporters.weights import nibbles
from exporters.weights.dtypes import Array

_SAME = 1e-5
"""Relative difference of a bias's scale from that of the products: exporters multiply in float32 or float64."""
_INT32 = 2**31 - 1


@dataclass(frozen=True, eq=False)
class Weight:
    """An int8 weight with zero point 0. values: outputs first. scales: float32 (outputs,)."""

    values: Array
    scales: Array


class Unfit(Exception):  # noqa: N818 - no error: caught here, and told in a report
    """The reason why no int8 op of ours can take a layer's place."""


def weight_of(value: ir.Value | None, outputs_axis: int) -> Weight:
    """The weight that a layer reads as float32, its dimension ``outputs_axis`` moved to the front. Raises Unfit."""
    found = _integers(value)
    if found is None:
        raise Unfit("its weight is not quantised")
    codes, scale, zero, axis = found
    wide = codes.astype(np.int64)
    if zero.size != 1 and zero.shape != scale.shape:
        raise Unfit("its weight has another number of zero points than of scales")
    outputs_axis %= codes.ndim
    if scale.size != 1:
        if axis % codes.ndim != outputs_axis or scale.shape != (codes.shape[outputs_axis],):
            raise Unfit("its weight has scales along another dimension than its outputs")
        along = [1] * codes.ndim
        along[outputs_axis] = -1
        zero = zero.reshape(along) if zero.size != 1 else zero.reshape(())
    else:
        zero = zero.reshape(())
    wide = np.moveaxis(wide - zero, outputs_axis, 0)
    if wide.size and (wide.min() < -128 or wide.max() > 127):
        raise Unfit("its weight has a zero point, and numbers that do not fit int8 without it")
    scales = np.broadcast_to(scale.reshape(-1).astype(np.float32), (wide.shape[0],))
    if not np.all(np.isfinite(scales) & (scales > 0)):
        raise Unfit("a scale of its weight is not a positive number")
    return Weight(np.ascontiguousarray(wide.astype(np.int8)), np.ascontiguousarray(scales))


def bias_of(value: ir.Value | None, x_scale: np.float32, weight: Weight) -> Array:
    """The bias in units of x_scale · w_scale, int32 (outputs,). Raises Unfit."""
    outputs = len(weight.values)
    unit = (x_scale * weight.scales).astype(np.float64)
    if not np.all(unit > 0):
        raise Unfit("a scale of its products is too small for a float32 number")
    if value is None:
        return np.zeros(outputs, np.int32)
    real = constant(value)
    if real is None:
        found = _integers(value)
        if found is None:
            raise Unfit("its bias is computed by the network")
        codes, scale, zero, _ = found
        if codes.size != outputs or np.any(zero):
            raise Unfit("its bias has not one number an output, or a zero point")
        scales = np.broadcast_to(scale.reshape(-1).astype(np.float64), (outputs,))
        if codes.dtype == np.int32 and np.all(np.abs(scales - unit) <= _SAME * unit):
            return np.ascontiguousarray(codes.reshape(-1))
        exact = codes.reshape(-1).astype(np.float64) * scales
    else:
        if real.dtype != np.float32 or real.size != outputs:
            raise Unfit("its bias is not one float32 number an output")
        exact = real.reshape(-1).astype(np.float64)
    rounded = np.rint(exact / unit)
    if not np.all(np.abs(rounded) <= _INT32):
        raise Unfit("its bias does not fit int32 in units of its products")
    return rounded.astype(np.int32)


def _integers(value: ir.Value | None) -> tuple[Array, Array, Array, int] | None:
    """Codes, scales, zero points and the scales' axis of a constant that is read as float32."""
    node = None if value is None else value.producer()
    if node is None:
        return None
    if node.op_type == "Transpose" and not node.domain:
        inner = _integers(node.inputs[0])
        return None if inner is None else _transposed(node, *inner)
    if not is_dequantize(node) or ("block_size" in node.attributes and node.attributes["block_size"].as_int()):
        return None
    scale = constant(node.inputs[1])
    if scale is None:
        return None
    axis = node.attributes["axis"].as_int() if "axis" in node.attributes else 1
    codes: Array | None = _stored(node.inputs[0])
    given = node.inputs[2] if len(node.inputs) > 2 else None
    zero: Array | None = np.zeros(scale.shape, np.int64) if given is None else constant(given)
    if codes is None:
        codes = _rounded(node.inputs[0], axis)
    if codes is None or zero is None or codes.dtype not in (np.int8, np.uint8, np.int32):
        return None
    return codes, scale, zero.astype(np.int64), axis


def _stored(value: ir.Value | None) -> Array | None:
    """Integers of the file, two weights of four bits a byte as :mod:`exporters.weights.nibbles` has them among them."""
    whole = constant(value)
    reshape = None if value is None else value.producer()
    gather = None if reshape is None or reshape.op_type != "Reshape" else _maker(reshape.inputs[0], "Gather")
    cast = None if gather is None else _maker(gather.inputs[1], "Cast")
    if whole is not None or reshape is None or gather is None or cast is None:
        return whole
    table, packed, shape = (constant(one) for one in (gather.inputs[0], cast.inputs[0], reshape.inputs[1]))
    axis = gather.attributes["axis"].as_int() if "axis" in gather.attributes else 0
    if table is None or packed is None or shape is None or axis or packed.dtype != np.uint8:
        return None
    if not np.array_equal(table, nibbles.TABLE) or shape.min(initial=1) < 1 or int(shape.prod()) != 2 * packed.size:
        return None
    return nibbles.unpack(packed).reshape(shape)


def _maker(value: ir.Value | None, op: str) -> ir.Node | None:
    node = None if value is None else value.producer()
    return node if node is not None and node.op_type == op and not node.domain else None


def _transposed(node: ir.Node, codes: Array, scale: Array, zero: Array, axis: int) -> tuple[Array, Array, Array, int]:
    order = ints(node, "perm", range(codes.ndim)[::-1])
    return codes.transpose(order), scale, zero, order.index(axis % codes.ndim) if codes.ndim else 0


def _rounded(value: ir.Value | None, axis: int) -> Array | None:
    """What a QuantizeLinear makes of a float32 initializer."""
    node = None if value is None else value.producer()
    if node is None or not is_quantize(node):
        return None
    real, scale = constant(node.inputs[0]), constant(node.inputs[1])
    zero: Array | None = constant(node.inputs[2]) if len(node.inputs) > 2 else np.zeros((), np.uint8)
    if real is None or scale is None or zero is None or real.dtype != np.float32:
        return None
    if zero.dtype not in (np.int8, np.uint8):
        return None
    along = [1] * real.ndim
    if scale.size != 1:
        along[axis % real.ndim] = -1
    with np.errstate(divide="ignore", invalid="ignore"):
        codes = np.rint(real / scale.reshape(along)) + zero.astype(np.float32).reshape(along if zero.size > 1 else ())
    if not np.all(np.isfinite(codes)):
        return None
    limits = np.iinfo(zero.dtype)
    return np.clip(codes, limits.min, limits.max).astype(zero.dtype)
