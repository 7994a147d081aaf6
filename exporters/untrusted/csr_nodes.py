"""Checks of nodes of our domain: types and sizes of constants, valid sparse weights, shapes of outputs."""

from __future__ import annotations

import math
from collections.abc import Mapping

import onnx
from onnx import TensorProto

from exporters.errors import CsrError, MalformedModelError, TooLargeError, UnsupportedOpError
from exporters.ops import Q_SEQUENCES, SEQUENCES, EdgeOp, Part, find_op
from exporters.untrusted.edge_weight import EdgeWeight
from exporters.untrusted.node_view import NodeView, Shape, window
from exporters.untrusted.q_nodes import check_q_weights, q_output_shapes
from exporters.untrusted.tensors import to_array
from exporters.untrusted.walk import node_name
from exporters.weights import csr, nm


def op_of(node: onnx.NodeProto) -> EdgeOp:
    """The op of a node of our domain. Raises UnsupportedOpError, MalformedModelError."""
    op = find_op(node.op_type, node.overload)
    if op is None:
        raise UnsupportedOpError(f"node {node_name(node)!r} is a {node.op_type}, which {node.domain} does not have.")
    stages = [attribute.s for attribute in node.attribute if attribute.name == "stages"]
    if op.name in (*SEQUENCES, *Q_SEQUENCES) and stages != [node.overload.encode()]:
        raise MalformedModelError(f"the stages of node {node_name(node)!r} are not its overload; export it again.")
    return op


def check_edge_weights(node: onnx.NodeProto, constants: Mapping[str, TensorProto]) -> tuple[EdgeWeight, ...]:
    """The weights of a node of our domain. Raises MalformedModelError, UnsupportedOpError, TooLargeError."""
    name, op = node_name(node), op_of(node)
    if len(node.input) != len(op.inputs) or not all(node.input):
        raise MalformedModelError(
            f"node {name!r} ({op.name}) needs the inputs {', '.join(op.inputs)}; export it again."
        )
    inputs = dict(zip(op.inputs, node.input, strict=True))
    for key in op.constants:
        if inputs[key] not in constants:
            raise MalformedModelError(f"{key} of node {name!r} is no constant; export it again.")
    if op.name in Q_SEQUENCES:
        return check_q_weights(name, op, {key: constants[inputs[key]] for key in op.constants})
    return tuple(
        _edge_weight(part, node, {key: constants[inputs[key + part.suffix]] for key in part.op.constants})
        for part in op.parts
        if part.op.constants
    )


def edge_output_shapes(
    node: onnx.NodeProto, weights: tuple[EdgeWeight, ...], shapes: Mapping[str, Shape]
) -> tuple[Shape, ...]:
    """Output shapes of the stages of a node for inputs of these shapes, the node's own output last.

    Raises MalformedModelError.
    """
    name, op = node_name(node), op_of(node)
    inputs = dict(zip(op.inputs, node.input, strict=True))
    found = [shapes[inputs["X"]]]
    if op.name in Q_SEQUENCES:
        return q_output_shapes(node, name, op, weights, found[0])
    if not weights:
        if len(found[0]) != 4:
            raise MalformedModelError(f"node {name!r} pools an input of {len(found[0])} dimensions, not 4.")
        return ((*found[0][:2], 1, 1),)
    for weight, part in zip(weights, op.parts, strict=True):
        if op.stages and op.name not in SEQUENCES and weight.op.is_sparse and weight.shape[2:] != (1, 1):
            raise MalformedModelError(f"node {name!r} has a sparse stage that is not 1 by 1; export it again.")
        found.append(_output_shape(weight, node, name, found[part.source]))
        if part.residual is not None and found[part.residual] != found[-1]:
            raise MalformedModelError(
                f"what stage {part.suffix[1:]} of node {name!r} adds has not the shape {found[-1]}; export it again."
            )
    if "residual" in inputs and shapes[inputs["residual"]] != found[-1]:
        raise MalformedModelError(f"the residual of node {name!r} has not the shape {found[-1]}; export it again.")
    return tuple(found[1:])


def _edge_weight(part: Part, node: onnx.NodeProto, tensors: Mapping[str, TensorProto]) -> EdgeWeight:
    name = node_name(node)
    try:
        shape, densified, kind = _weight_shape(part, node, tensors)
    except CsrError as error:
        raise MalformedModelError(f"node {name!r} holds no valid sparse weight: {error}; export it again.") from error
    bias = tensors["bias"]
    if bias.data_type != TensorProto.FLOAT or list(bias.dims) != [shape[0]]:
        raise MalformedModelError(f"the bias of node {name!r} is not float32 of {shape[0]} entries; export it again.")
    return EdgeWeight(part.op, part.suffix, shape, densified, kind)


def _weight_shape(
    part: Part, node: onnx.NodeProto, tensors: Mapping[str, TensorProto]
) -> tuple[tuple[int, ...], int, str]:
    op = part.op
    rank = 2 if op.base.endswith("Gemm") else 4
    if not op.is_sparse:
        tensor = tensors["W"]
        if tensor.data_type != TensorProto.FLOAT or len(tensor.dims) != rank or 0 in tensor.dims:
            raise MalformedModelError(f"weight {tensor.name!r} is not float32 with {rank} dimensions; export it again.")
        return tuple(tensor.dims), 0, ""
    shape_tensor = tensors["weight_shape"]
    if shape_tensor.data_type != TensorProto.INT64 or list(shape_tensor.dims) != [rank]:
        raise CsrError(f"weight_shape must be {rank} int64 numbers")
    shape = tuple(int(dim) for dim in to_array(shape_tensor))
    if min(shape) < 1 or math.prod(shape) > 2**40:
        raise TooLargeError(f"weight_shape {list(shape)} of {shape_tensor.name!r} is no size of a weight.")
    if op.is_nm:
        groups = [one.i for one in node.attribute if one.name == "m" + part.suffix and one.type == one.INT]
        packed = nm.validate(to_array(tensors["values"]), to_array(tensors["index"]), groups[0] if groups else 0, shape)
        return shape, 4 * math.prod(shape), packed.format
    values, col_idx, row_ptr = (to_array(tensors[key]) for key in ("values", "col_idx", "row_ptr"))
    if values.ndim != (2 if op.in_blocks else 1):
        raise CsrError(f"values has {values.ndim} dimensions")
    return shape, 4 * math.prod(shape), csr.validate(values, col_idx, row_ptr, shape).format


def _output_shape(stage: EdgeWeight, node: onnx.NodeProto, name: str, source: Shape) -> Shape:
    op, weight = stage.op, stage.shape
    attributes = {
        attribute.name.removesuffix(stage.suffix): attribute
        for attribute in node.attribute
        if attribute.name.endswith(stage.suffix)
    }
    for key in ("clip_min", "clip_max") if op.activation == "clip" else ():
        if key not in attributes or attributes[key].type != onnx.AttributeProto.FLOAT:
            raise MalformedModelError(f"node {name!r} has no number {key}; export it again.")
    channels = weight[0] if op.base == "DepthwiseConv" else weight[1]
    if len(source) != len(weight) or source[1] != channels:
        raise MalformedModelError(
            f"node {name!r} has a weight of shape {tuple(weight)} and an input of shape {tuple(source)}."
        )
    if len(weight) == 2:
        return source[0], weight[0]
    if op.base == "DepthwiseConv" and (
        weight[1] != 1 or "group" not in attributes or attributes["group"].i != weight[0]
    ):
        raise MalformedModelError(f"node {name!r} is not depthwise with one kernel a channel; export it again.")
    view = NodeView(name, op.name, (), {}, attributes)
    if not {"strides", "pads", "dilations"} <= attributes.keys():
        raise MalformedModelError(f"node {name!r} lacks strides, pads or dilations; export it again.")
    return (source[0], weight[0], *window(view, source, weight[2:]))
