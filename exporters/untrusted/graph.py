"""The size of every value of a graph, worked out node by node before a runtime allocates it.

Constant folding runs a graph's constant parts when a session is made, so a small file of matrix products, broadcasts or
concatenations can ask for any amount of memory. Here each node's output shape follows from its inputs' shapes and from
small constants; what is not told by them, and every operator without a rule, is refused. The first dimension of an
input may be symbolic and counts as 1.
"""

from __future__ import annotations

import math
from typing import SupportsInt, cast

import onnx
from onnx import TensorProto, numpy_helper

from exporters.errors import CsrError, MalformedModelError, TooLargeError, UnsupportedOpError
from exporters.ops import DOMAIN
from exporters.untrusted.csr_nodes import check_edge_node
from exporters.untrusted.shapes import RULES, NodeView, Shape
from exporters.untrusted.tensors import tensor_bytes

_STANDARD = ("", "ai.onnx")
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
    kinds = {tensor.data_type for tensor in constants.values() if tensor.data_type in _FLOATS}
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
    opset = max(entry.version for entry in model.opset_import if entry.domain in _STANDARD)
    for node in graph.node:
        name = node.name or (node.output[0] if node.output else node.op_type)
        _check_node(node, name, shapes)
        if node.domain == DOMAIN:
            try:
                shape, weight_bytes = check_edge_node(node, name, shapes, constants)
            except CsrError as error:
                raise MalformedModelError(
                    f"node {name!r} holds no valid CSR weight: {error}; export it again."
                ) from error
            dense += weight_bytes
            total += weight_bytes
            _limit("its weights, densified,", dense, dense_limit)
        else:
            shape = _standard_shape(node, name, shapes, constants, opset)
        if node.output[0] in shapes:
            raise MalformedModelError(f"two nodes make the value {node.output[0]!r}; export it again.")
        shapes[node.output[0]] = shape
        # Eight bytes an element, whatever its type: a bound and no forecast.
        total += 8 * math.prod(shape)
        _limit(f"its values up to {node.output[0]!r}", total, total_limit)
    for value in graph.output:
        if value.name not in shapes:
            raise MalformedModelError(f"no node makes the output {value.name!r}; export it again.")


def _check_node(node: onnx.NodeProto, name: str, shapes: dict[str, Shape]) -> None:
    if node.domain not in (*_STANDARD, DOMAIN):
        raise UnsupportedOpError(f"node {name!r} is of the operator set {node.domain!r}, which is not read here.")
    if node.domain != DOMAIN and node.op_type not in RULES:
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


def _standard_shape(
    node: onnx.NodeProto, name: str, shapes: dict[str, Shape], constants: dict[str, TensorProto], opset: int
) -> Shape:
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
    view = NodeView(
        name=name,
        op=node.op_type,
        shapes=tuple(shapes[value] if value else None for value in node.input),
        constants={
            index: [int(entry) for entry in numpy_helper.to_array(constants[value])]
            for index, value in enumerate(node.input)
            if value in constants and _is_small_vector(constants[value])
        },
        attributes={attribute.name: attribute for attribute in node.attribute},
    )
    return RULES[node.op_type](view)


def _is_small_vector(tensor: TensorProto) -> bool:
    return tensor.data_type == TensorProto.INT64 and len(tensor.dims) == 1 and tensor.dims[0] <= _SMALL


def _limit(what: str, size: int, limit: int) -> None:
    if size > limit:
        raise TooLargeError(
            f"{what} would take {size} bytes of memory, more than the {limit} allowed for a file of its size."
        )
