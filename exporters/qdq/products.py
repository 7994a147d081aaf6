"""Recognition of quantised products: convolutions, linear layers, in the forms that exporters write them in.

Conv, one group                                    → QConv
Conv, some groups                                  → QConv of one group, whose weight is 0 between groups
Conv, as many groups as channels                   → QDepthwiseConv
Gemm; MatMul, with an Add of a bias or without     → QGemm, or QConv with a window of the whole image before Flatten
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from exporters.layers.graph import constant, ints, only_user, static_shape
from exporters.layers.padding import same_pads
from exporters.qdq.constants import Unfit, Weight, bias_of, weight_of
from exporters.qdq.read import codes_behind, view_of
from exporters.qdq.steps import Code, Step
from exporters.weights.dtypes import Array

_INT32 = 2**31 - 1
_MOST_WEIGHTS = 1 << 26
"""Of a grouped convolution as one of one group, the zeros between groups included."""
_WHOLE = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)}


@dataclass(frozen=True, eq=False)
class Product:
    """A node with a weight, and the Add of its bias. output: the value with the bias."""

    node: ir.Node
    output: ir.Value
    bias: ir.Value | None
    covers: tuple[ir.Node, ...]


def product_behind(value: ir.Value) -> Product | None:
    """The product that makes a float32 value; None where another node does."""
    node = value.producer()
    if node is None or node.domain:
        return None
    if node.op_type in ("Conv", "Gemm") and len(node.inputs) > 1:
        return Product(node, value, node.inputs[2] if len(node.inputs) > 2 else None, (node,))
    if node.op_type == "MatMul":
        return Product(node, value, None, (node,))
    if node.op_type == "Add":
        for place in (0, 1):
            inner, other = node.inputs[place], node.inputs[1 - place]
            made = None if inner is None else inner.producer()
            if made is not None and made.op_type == "MatMul" and not made.domain and _is_constant(other):
                return Product(made, value, other, (made, node))
    return None


def _is_constant(value: ir.Value | None) -> bool:
    if constant(value) is not None:
        return True
    node = None if value is None else value.producer()
    return node is not None and node.op_type == "DequantizeLinear" and constant(node.inputs[0]) is not None


def read_product(product: Product, known: Mapping[ir.Value, Code], outputs: int) -> Step:
    """The step of a product, without its output; outputs: channels that the file says this has. Raises Unfit."""
    node = product.node
    if len(product.covers) > 1 and only_user(node.outputs[0]) is None:
        raise Unfit("what it makes is read before its bias is added")
    step = _conv(product, known) if node.op_type == "Conv" else _gemm(product, known)
    assert step.weight is not None  # noqa: S101 (both have set it)
    assert step.bias is not None  # noqa: S101
    if len(step.weight.values) != outputs:
        raise Unfit("its output has another number of channels than its weight")
    _check_sums(step.weight.values, step.bias)
    return step


def _check_sums(weight: Array, bias: Array) -> None:
    """Sums of products and bias have to fit int32, whatever the inputs."""
    padded = -(-weight.shape[1] // 4) * 4 * math.prod(weight.shape[2:])
    if int(np.abs(bias.astype(np.int64)).max(initial=0)) + 255 * 128 * padded > _INT32:
        raise Unfit("its sums could exceed int32")


def _conv(product: Product, known: Mapping[ir.Value, Code]) -> Step:
    node = product.node
    code, covers = codes_behind(node.inputs[0], known)
    weight = weight_of(node.inputs[1], 0)
    shape = weight.values.shape
    if len(shape) != 4:
        raise Unfit(f"it is a convolution over {len(shape) - 2} dimensions, not 2")
    group = node.attributes["group"].as_int() if "group" in node.attributes else 1
    depthwise = group > 1 and group == shape[0] and shape[1] == 1
    if view_of(node.inputs[0]) != code.shape or group < 1 or code.shape[0] != shape[1] * group or shape[0] % group:
        raise Unfit("its input and its weight do not fit")
    bias = bias_of(product.bias, code.grid.scale, weight)
    grouped = group > 1 and not depthwise
    if grouped:
        weight = replace(weight, values=_of_one_group(weight.values, group))
    return Step(
        op="QDepthwiseConv" if depthwise else "QConv",
        name=node.name or node.op_type,
        reads=(code,),
        output=None,
        covers=(*covers, *product.covers),
        weight=weight,
        bias=bias,
        attributes=window_of(node, shape[2:]) | ({"group": group} if depthwise else {}),
        groups=group if grouped else 1,
    )


def _of_one_group(values: Array, groups: int) -> Array:
    """The weight (out, in / groups, kh, kw) of a grouped convolution as (out, in, kh, kw). Raises Unfit.

    Blocks of four input channels that are zeros alone are not stored, so that only a group's own are multiplied.
    """
    outputs, channels = values.shape[:2]
    if values.size * groups > _MOST_WEIGHTS:
        raise Unfit("it is a grouped convolution of too many channels")
    whole = np.zeros((groups, outputs // groups, groups, channels, *values.shape[2:]), values.dtype)
    own = np.arange(groups)
    whole[own, :, own] = values.reshape(groups, outputs // groups, *values.shape[1:])
    return whole.reshape(outputs, groups * channels, *values.shape[2:])


def window_of(node: ir.Node, kernel: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Strides, pads and dilations of a convolution or a pool. Raises Unfit for padding that is not fixed."""
    strides, dilations = ints(node, "strides", (1, 1)), ints(node, "dilations", (1, 1))
    auto = node.attributes["auto_pad"].as_string() if "auto_pad" in node.attributes else "NOTSET"
    reach = [step * (side - 1) + 1 for step, side in zip(dilations, kernel, strict=True)]
    pads: tuple[int, ...] | None = ints(node, "pads", (0, 0, 0, 0))
    if auto.startswith("SAME"):
        shape = None if node.inputs[0] is None else static_shape(node.inputs[0])
        pads = same_pads(None if shape is None else shape[2:], strides, reach, auto)
    if pads is None:
        raise Unfit("its padding is automatic, and its input's size not fixed")
    return {"strides": strides, "pads": pads, "dilations": dilations}


def _gemm(product: Product, known: Mapping[ir.Value, Code]) -> Step:
    node = product.node

    def number(name: str, default: float) -> float:
        return float(node.attributes[name].value) if name in node.attributes else default

    if number("transA", 0) or number("alpha", 1) != 1 or number("beta", 1) != 1:
        raise Unfit("it transposes its input, or scales its product or its bias")
    code, covers = codes_behind(node.inputs[0], known)
    weight = weight_of(node.inputs[1], 0 if number("transB", 0) else 1)
    view = view_of(node.inputs[0])
    if weight.values.ndim != 2 or view != (weight.values.shape[1],) or math.prod(view) != code.elements:
        raise Unfit("its input is no matrix, or does not fit its weight")
    step = Step(
        op="QGemm",
        name=node.name or node.op_type,
        reads=(code,),
        output=None,
        covers=(*covers, *product.covers),
        weight=weight,
        bias=bias_of(product.bias, code.grid.scale, weight),
    )
    if code.shape[1:] == (1, 1):
        return step
    whole = Weight(weight.values.reshape(-1, *code.shape), weight.scales)
    return replace(step, op="QConv", weight=whole, attributes=dict(_WHOLE))
