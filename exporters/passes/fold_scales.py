"""BatchNormalization ∘ Conv, Mul ∘ Conv → Conv, where what follows is constant; Sum of two values → Add.

A BatchNormalization is s · x + t with s = γ / √(σ² + ε) and t = β − s · μ, a Mul by a number a channel the same without
t: W ← s · W, bias ← s · bias + t. Zeros of W stay zeros. ONNX Runtime does the same to its own convolutions when it
loads a file, and cannot to ops of ours.
Requires: constant float32 weights; between the two nodes nothing else is read. Ensures: other nodes are untouched.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from exporters.layers.graph import constant, only_user
from exporters.layers.placed_layer import other_operand
from exporters.ops import initializer
from exporters.weights.dtypes import Array


class FoldScales(ir.passes.InPlacePass):
    """Scales after convolutions → their weights."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Fold as long as something follows that can be."""
        changed = False
        for node in list(model.graph):
            if node.op_type == "Sum" and not node.domain and len(node.inputs) == 2:
                add = ir.node("Add", list(node.inputs), name=node.name)
                _replace(model.graph, node, [node], add)
                changed = True
            while node.op_type == "Conv" and not node.domain and (folded := _folded(model.graph, node)) is not None:
                node, changed = folded, True
        return ir.passes.PassResult(model, changed)


def _folded(graph: ir.Graph, conv: ir.Node) -> ir.Node | None:
    """The convolution that has taken in the node after it; None where it cannot."""
    after, weight = only_user(conv.outputs[0]), constant(conv.inputs[1])
    given = conv.inputs[2] if len(conv.inputs) > 2 else None
    if after is None or after.domain or weight is None or weight.dtype != np.float32 or weight.ndim < 3:
        return None
    bias = np.zeros(len(weight), np.float32) if given is None else constant(given)
    found = _scale(after, conv.outputs[0], weight.ndim) if bias is not None and bias.shape == weight.shape[:1] else None
    if found is None or bias is None:
        return None
    scale, shift = (np.broadcast_to(one, bias.shape) for one in found)
    arrays = {
        "weight": weight * scale.reshape(-1, *(1,) * (weight.ndim - 1)),
        "bias": bias * scale + shift,
    }
    if not all(np.isfinite(array).all() for array in arrays.values()):
        return None
    inputs = [conv.inputs[0]]
    for key, array in arrays.items():
        value = initializer(f"{after.outputs[0].name}.{key}", array.astype(np.float32))
        if value.name in graph.initializers:
            return None
        graph.register_initializer(value)
        inputs.append(value)
    new = ir.node("Conv", inputs, attributes=dict(conv.attributes), name=conv.name)
    _replace(graph, after, [conv, after], new)
    return new


def _replace(graph: ir.Graph, last: ir.Node, old: list[ir.Node], new: ir.Node) -> None:
    new.outputs[0].type, new.outputs[0].shape = last.outputs[0].type, last.outputs[0].shape
    ir.convenience.replace_nodes_and_values(graph, last, old, [new], last.outputs[:1], new.outputs)


def _scale(node: ir.Node, value: ir.Value, rank: int) -> tuple[Array, Array] | None:
    """Scale and shift a channel of a node that reads ``value``, or one number for all; None for other nodes."""
    if node.op_type == "Mul":
        factor = constant(other_operand(node, value))
        if factor is None or factor.dtype != np.float32 or factor.ndim > rank:
            return None
        shape = (1,) * (rank - factor.ndim) + factor.shape
        if any(size != 1 for axis, size in enumerate(shape) if axis != 1):
            return None
        return factor.reshape(-1), np.zeros(1, np.float32)
    if node.op_type != "BatchNormalization" or node.inputs[0] is not value or len(node.inputs) != 5:
        return None
    if any(output.uses() or output.is_graph_output() for output in node.outputs[1:]):
        return None
    if "training_mode" in node.attributes and node.attributes["training_mode"].as_int():
        return None
    arrays = [constant(one) for one in node.inputs[1:]]
    if any(array is None or array.dtype != np.float32 or array.ndim != 1 for array in arrays):
        return None
    gamma, beta, mean, variance = (np.asarray(array, np.float64) for array in arrays)
    epsilon = node.attributes["epsilon"].as_float() if "epsilon" in node.attributes else 1e-5
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = gamma / np.sqrt(variance + epsilon)
    return scale, beta - scale * mean
