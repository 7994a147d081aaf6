"""The size of every value of a graph, worked out node by node before a runtime allocates it.

Constant folding runs a graph's constant parts when a session is made, so a small file of matrix products, broadcasts or
concatenations can ask for any amount of memory. Here each node's output shape follows from its inputs' shapes and from
small constants; what is not told by them, and every operator without a rule, is refused. The first dimension of an
input may be symbolic and counts as 1, also where a shape is computed from it.
"""

from __future__ import annotations

import math
from typing import SupportsInt, cast

import onnx
from onnx import TensorProto

from exporters.errors import MalformedModelError, TooLargeError, UnsupportedOpError
from exporters.ops import DOMAIN, find_op
from exporters.untrusted.csr_nodes import check_edge_weights, edge_output_shapes
from exporters.untrusted.node_view import NodeView, Shape
from exporters.untrusted.shape_values import VALUES, Numbers
from exporters.untrusted.shapes import RULES
from exporters.untrusted.tensors import tensor_bytes, to_array
from exporters.untrusted.walk import STANDARD, constant_tensor, node_name

_MAX_RANK = 8
# Axes and shapes that rules look into; a weight is longer.
_SMALL = 64
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)


def check_graph(model: onnx.ModelProto, dense_limit: int, total_limit: int) -> None:
    """Bound all values of the main graph.

    dense_limit: bytes of all weights, those of CSR ops densified. total_limit: bytes of the weights and of every value.
    Raises TooLargeError, UnsupportedOpError and MalformedModelError.
    """
    graph = model.graph
    constants: dict[str, TensorProto] = {}
    for tensor in graph.initializer:
        if not tensor.name or tensor.name in constants:
            raise MalformedModelError(f"two initializers are called {tensor.name!r}; export it again.")
        constants[tensor.name] = tensor
    shapes: dict[str, Shape] = {name: tuple(tensor.dims) for name, tensor in constants.items()}
    # A CSR op may store its values in half precision, whatever the network computes in.
    stored = {name for node in graph.node if node.domain == DOMAIN for name in _values_inputs(node)}
    kinds = {tensor.data_type for name, tensor in constants.items() if name not in stored} & set(_FLOATS)
    dense = sum(tensor_bytes(tensor) for tensor in constants.values())
    total = dense
    _limit("its weights", dense, dense_limit)
    for value in graph.input:
        if value.name in shapes:
            raise MalformedModelError(f"{value.name!r} is an input twice, or a weight as well; export it again.")
        shapes[value.name] = _input_shape(value)
        kinds.add(value.type.tensor_type.elem_type)
        total += 8 * math.prod(shapes[value.name])
    if len(kinds) > 1 or not kinds <= set(_FLOATS):
        raise UnsupportedOpError("its inputs and weights are not all of one floating-point type.")
    opset = max(entry.version for entry in model.opset_import if entry.domain in STANDARD)
    numbers = {name: found for name, tensor in constants.items() if (found := _numbers(tensor)) is not None}
    for node in graph.node:
        name = node_name(node)
        _check_node(node, name, shapes)
        tensor = constant_tensor(node)
        if tensor is not None:
            shape, found = tuple(tensor.dims), _numbers(tensor)
            if found is None:
                raise UnsupportedOpError(f"node {name!r} is a Constant that is not one or a few int64 numbers.")
        elif node.domain == DOMAIN:
            weights = check_edge_weights(node, constants)
            *between, shape = edge_output_shapes(node, weights, shapes)
            found = None
            dense += sum(weight.densified for weight in weights)
            total += sum(weight.densified for weight in weights) + sum(8 * math.prod(inner) for inner in between)
            _limit("its weights, densified,", dense, dense_limit)
        else:
            view = _view(node, name, shapes, numbers, opset)
            shape = RULES[node.op_type](view)
            found = VALUES[node.op_type](view) if node.op_type in VALUES else None
        if node.output[0] in shapes:
            raise MalformedModelError(f"two nodes make the value {node.output[0]!r}; export it again.")
        shapes[node.output[0]] = shape
        if found is not None and len(shape) <= 1 and len(found) <= _SMALL:
            numbers[node.output[0]] = found
        # Eight bytes an element, whatever its type: a bound and no forecast.
        total += 8 * math.prod(shape)
        _limit(f"its values up to {node.output[0]!r}", total, total_limit)
    for value in graph.output:
        if value.name not in shapes:
            raise MalformedModelError(f"no node makes the output {value.name!r}; export it again.")


def _values_inputs(node: onnx.NodeProto) -> list[str]:
    """The inputs of a node of ours that hold the values of a CSR weight."""
    op = find_op(node.op_type, node.overload)
    keys = {f"values{part.suffix}" for part in op.parts} if op else set()
    return [name for key, name in zip(op.inputs, node.input, strict=False) if key in keys] if op else []


def _check_node(node: onnx.NodeProto, name: str, shapes: dict[str, Shape]) -> None:
    if node.domain not in (*STANDARD, DOMAIN):
        raise UnsupportedOpError(f"node {name!r} is of the operator set {node.domain!r}, which is not read here.")
    if node.domain != DOMAIN and node.op_type not in RULES and constant_tensor(node) is None:
        raise UnsupportedOpError(f"node {name!r} is a {node.op_type}, an operator that is not read here.")
    if len(node.output) != 1 or not node.output[0]:
        raise UnsupportedOpError(f"node {name!r} ({node.op_type}) does not have one output, as all that is read here.")
    for value in node.input:
        if value and value not in shapes:
            raise MalformedModelError(f"node {name!r} reads {value!r} before any node makes it; export it again.")
    seen = [attribute.name for attribute in node.attribute]
    if len(set(seen)) != len(seen) or any(attribute.ref_attr_name for attribute in node.attribute):
        raise MalformedModelError(f"node {name!r} has an attribute twice, or one without a value; export it again.")


def _input_shape(value: onnx.ValueInfoProto) -> Shape:
    tensor = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not tensor.HasField("shape") or len(tensor.shape.dim) > _MAX_RANK:
        raise UnsupportedOpError(f"input {value.name!r} has no fixed shape; export it with one.")
    sizes = []
    for index, dim in enumerate(tensor.shape.dim):
        if dim.HasField("dim_value") and dim.dim_value > 0:
            sizes.append(dim.dim_value)
        elif index == 0 and not dim.HasField("dim_value"):
            sizes.append(1)
        else:
            raise UnsupportedOpError(
                f"dimension {index} of input {value.name!r} is not fixed; only the batch may vary."
            )
    return tuple(sizes)


def _view(
    node: onnx.NodeProto, name: str, shapes: dict[str, Shape], numbers: dict[str, Numbers], opset: int
) -> NodeView:
    try:
        schema = onnx.defs.get_schema(node.op_type, opset, "")
    except onnx.defs.SchemaError as error:
        raise UnsupportedOpError(f"node {name!r} is a {node.op_type}, which operator set {opset} lacks.") from error
    known = {key: int(cast("SupportsInt", attribute.type)) for key, attribute in schema.attributes.items()}
    for attribute in node.attribute:
        if known.get(attribute.name) != attribute.type:
            raise MalformedModelError(f"node {name!r} ({node.op_type}) has no such attribute {attribute.name!r}.")
    if not schema.min_input <= len(node.input) <= schema.max_input:
        raise MalformedModelError(f"node {name!r} ({node.op_type}) has {len(node.input)} inputs; export it again.")
    return NodeView(
        name=name,
        op=node.op_type,
        shapes=tuple(shapes[value] if value else None for value in node.input),
        constants={index: numbers[value] for index, value in enumerate(node.input) if value in numbers},
        attributes={attribute.name: attribute for attribute in node.attribute},
    )


def _numbers(tensor: TensorProto) -> Numbers | None:
    """The entries of an int64 tensor that is a number or a short vector; None for all others."""
    if tensor.data_type != TensorProto.INT64 or len(tensor.dims) > 1 or math.prod(tensor.dims) > _SMALL:
        return None
    return tuple(int(entry) for entry in to_array(tensor).ravel())


def _limit(what: str, size: int, limit: int) -> None:
    if size > limit:
        raise TooLargeError(
            f"{what} would take {size} bytes of memory, more than the {limit} allowed for a file of its size."
        )
