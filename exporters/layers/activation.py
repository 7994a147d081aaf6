"""The activation after a layer, in each of the forms that exporters write it in.

Clip, Relu                                          → clip
HardSwish; x · HardSigmoid(x); x · relu6(x + 3) / 6  → hard_swish, x · min(max(x / 6 + 1/2, 0), 1)
Swish; x · Sigmoid(x)                               → silu, x / (1 + exp(−x))

A product may have its operands in either order, and the sixth may be a division or a product, before or after the
product with x. Every value between the layer's output and the activation's has no other reader.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from exporters.layers.graph import constant, only_user
from exporters.ops import Activation

# An attribute is float32, and 1/6 and 0.2 are about as often rounded to a few decimals as not; 0.2 is another function.
_SIXTH_TOLERANCE = 1e-4


@dataclass(frozen=True, eq=False)
class Found:
    """An activation and its nodes, in order; without nodes there is none. clip: bounds, infinite but for a clip."""

    activation: Activation = "clip"
    nodes: tuple[ir.Node, ...] = ()
    clip: tuple[float, float] = (-math.inf, math.inf)


def find_activation(value: ir.Value) -> Found:
    """Find the activation that follows ``value``, the sum of a layer."""
    users = {use.node for use in value.uses()}
    if value.is_graph_output() or not users or any(user.domain for user in users):
        return Found()
    if len(users) == 1:
        return _unary(value, users.pop())
    if len(users) == 2 and len(value.uses()) == 2:
        a, b = users
        return _product(value, a, b) or _product(value, b, a) or Found()
    return Found()


def _unary(value: ir.Value, user: ir.Node) -> Found:
    if user.op_type == "Relu":
        return Found(nodes=(user,), clip=(0.0, math.inf))
    if user.op_type == "HardSwish":
        return Found("hard_swish", (user,))
    if user.op_type == "Swish" and _number(user, "alpha", 1.0) == 1.0:
        return Found("silu", (user,))
    bounds = _bounds(value, user)
    return Found() if bounds is None else Found(nodes=(user,), clip=bounds)


def _bounds(value: ir.Value, user: ir.Node) -> tuple[float, float] | None:
    """Bounds of a Clip of ``value``; None for other nodes, and for bounds that are no constants."""
    if user.op_type != "Clip" or user.inputs[0] is not value:
        return None
    # Bounds are attributes up to operator set 10, inputs from 11 on.
    bounds = [_number(user, "min", -math.inf), _number(user, "max", math.inf)]
    for index, bound in enumerate(user.inputs[1:]):
        if bound is None:
            continue
        number = _scalar(bound)
        if number is None:
            return None
        bounds[index] = number
    return bounds[0], bounds[1]


def _product(value: ir.Value, gate: ir.Node, product: ir.Node) -> Found | None:
    """The activation that multiplies ``value`` by the result of a chain of nodes that starts with ``gate``."""
    if product.op_type != "Mul":
        return None
    chain, last = [gate], gate.outputs[0]
    while (user := only_user(last)) is not None and user is not product and len(chain) < 4:
        chain.append(user)
        last = user.outputs[0]
    if only_user(last) is not product or {value, last} != set(product.inputs):
        return None
    if [node.op_type for node in chain] == ["Sigmoid"]:
        return Found("silu", (gate, product))
    if [node.op_type for node in chain] == ["HardSigmoid"]:
        alpha, beta = _number(gate, "alpha", 0.2), _number(gate, "beta", 0.5)
        right = abs(6 * alpha - 1) < _SIXTH_TOLERANCE and beta == 0.5
        return Found("hard_swish", (gate, product)) if right else None
    return _product_of_relu6(value, chain, product)


def _product_of_relu6(value: ir.Value, chain: Sequence[ir.Node], product: ir.Node) -> Found | None:
    """X · relu6(x + 3) / 6, the sixth taken in the chain or after the product."""
    shift, *rest = chain
    if shift.op_type != "Add" or _scalar(_other(shift, value)) != 3.0:
        return None
    if not rest or _bounds(shift.outputs[0], rest[0]) != (0.0, 6.0):
        return None
    clipped = rest[0].outputs[0]
    if len(rest) == 2 and _is_sixth(rest[1], clipped):
        return Found("hard_swish", (*chain, product))
    after = only_user(product.outputs[0])
    if len(rest) == 1 and after is not None and _is_sixth(after, product.outputs[0]):
        return Found("hard_swish", (*chain, product, after))
    return None


def _is_sixth(node: ir.Node, value: ir.Value) -> bool:
    if node.domain:
        return False
    if node.op_type == "Div":
        return node.inputs[0] is value and _scalar(node.inputs[1]) == 6.0
    factor = _scalar(_other(node, value)) if node.op_type == "Mul" else None
    return factor is not None and abs(6 * factor - 1) < _SIXTH_TOLERANCE


def _other(node: ir.Node, operand: ir.Value) -> ir.Value | None:
    return node.inputs[1] if node.inputs[0] is operand else node.inputs[0]


def _scalar(value: ir.Value | None) -> float | None:
    array = constant(value)
    return float(array.item()) if array is not None and array.size == 1 and array.ndim <= 1 else None


def _number(node: ir.Node, name: str, default: float) -> float:
    return node.attributes[name].as_float() if name in node.attributes else default
