"""Nodes that stand around a node of ours whose input or output has another shape than the layer's.

A linear layer of more than two dimensions  → Reshape to a matrix, and back; sizes that are open stay so
A convolution over one side                 → Unsqueeze to a height of 1, Squeeze
A transposed convolution                    → DepthToSpace after it
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from exporters.layers.graph import static_shape
from exporters.layers.layer import Layer
from exporters.passes._weight_store import WeightStore

HEIGHT = 2
"""The axis of a height of 1."""


@dataclass(frozen=True, eq=False)
class Around:
    """before: nodes that make ``source`` and ``residual`` of the layer's. after: gives the nodes that follow."""

    before: list[ir.Node]
    source: ir.Value
    residual: ir.Value | None
    after: Callable[[ir.Value], list[ir.Node]]


def around(layer: Layer, weights: WeightStore) -> Around:
    """What has to stand around the node that takes the layer's place."""
    if layer.form == "line":
        return _line(layer, weights)
    if layer.form == "upsampling":
        return Around([], layer.source, layer.residual, lambda value: [_upsampled(layer, value)])
    dims = layer.out_dims
    return Around([], layer.source, layer.residual, lambda _: []) if dims is None else _matrix(layer, dims, weights)


def _line(layer: Layer, weights: WeightStore) -> Around:
    axis = weights.get(layer.name, {"height": np.array([HEIGHT], np.int64)})["height"]

    def lifted(value: ir.Value, name: str) -> ir.Node:
        node = ir.node("Unsqueeze", [value, axis], name=f"{layer.name}.{name}")
        return _typed(node, value, _with_height(value.shape))

    def after(value: ir.Value) -> list[ir.Node]:
        old = layer.node.outputs[0]
        value.type, value.shape = old.type, _with_height(old.shape)
        return [_typed(ir.node("Squeeze", [value, axis], name=f"{layer.name}.line"), old, old.shape)]

    nodes = [lifted(layer.source, "lifted")]
    if layer.residual is not None:
        nodes.append(lifted(layer.residual, "lifted_residual"))
    return Around(nodes, nodes[0].outputs[0], nodes[-1].outputs[0] if len(nodes) > 1 else None, after)


def _with_height(shape: ir.Shape | None) -> ir.Shape | None:
    return None if shape is None else ir.Shape([*shape[:HEIGHT], 1, *shape[HEIGHT:]])


def _typed(node: ir.Node, like: ir.Value, shape: ir.Shape | None) -> ir.Node:
    node.outputs[0].type, node.outputs[0].shape = like.type, shape
    return node


def _upsampled(layer: Layer, value: ir.Value) -> ir.Node:
    source = layer.source.shape
    value.type = layer.source.type
    if source is not None:
        value.shape = ir.Shape([source[0], layer.weight.shape[0], *source[2:]])
    return ir.node("DepthToSpace", [value], attributes={"blocksize": layer.node_kernel}, name=f"{layer.name}.upsampled")


def _matrix(layer: Layer, dims: tuple[int | None, ...], weights: WeightStore) -> Around:
    outputs, inputs = layer.weight.shape
    rows = weights.get(layer.name, {"rows": np.array([-1, inputs], np.int64)})["rows"]
    flat = _typed(ir.node("Reshape", [layer.source, rows], name=f"{layer.name}.flat"), layer.source, None)
    flat.outputs[0].shape = ir.Shape([None, inputs])

    def after(value: ir.Value) -> list[ir.Node]:
        value.type, value.shape = layer.source.type, ir.Shape([None, outputs])
        known = [size if size is not None else -1 for size in dims]
        if known.count(-1) > 1:
            return _as_source(layer, value, outputs, weights)
        target = np.array([*known, outputs] if -1 in known else [-1, *known[1:], outputs], np.int64)
        back = weights.get(layer.name, {"dims": target})["dims"]
        return [ir.node("Reshape", [value, back], name=f"{layer.name}.shaped")]

    return Around([flat], flat.outputs[0], None, after)


def _as_source(layer: Layer, value: ir.Value, outputs: int, weights: WeightStore) -> list[ir.Node]:
    """Reshape to the source's own sizes, of which several are open."""
    last = weights.get(layer.name, {"outputs": np.array([outputs], np.int64)})["outputs"]
    lead = ir.node("Shape", [layer.source], attributes={"start": 0, "end": -1}, name=f"{layer.name}.lead")
    dims = ir.node("Concat", [lead.outputs[0], last], attributes={"axis": 0}, name=f"{layer.name}.dims")
    for node, count in ((lead, -1), (dims, 0)):
        node.outputs[0].type = ir.TensorType(ir.DataType.INT64)
        node.outputs[0].shape = ir.Shape([len(static_shape(layer.source) or ()) + count])
    return [lead, dims, ir.node("Reshape", [value, dims.outputs[0]], name=f"{layer.name}.shaped")]
